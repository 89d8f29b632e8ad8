// What all nodes here share: looks, words, and a width that cuts off neither title nor label.

import {app} from '../../scripts/app.js'
import {dress} from './lib/page.mjs'

const WIDTH = 300

app.registerExtension({
  name: 'imagemixer.sizes',
  init: () => dress(app),
  nodeCreated(node) {
    if (node.comfyClass?.startsWith('ImageMixer') && node.size[0] < WIDTH) node.setSize([WIDTH, node.size[1]])
  },
})
