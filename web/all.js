// What all nodes here share: looks, words, a width that cuts off neither title nor label; and the setting of the
// service's key, a field that is written and never read.

import {app} from '../../scripts/app.js'
import {keyForm} from './lib/key.mjs'
import {dress} from './lib/page.mjs'

const WIDTH = 300

app.registerExtension({
  name: 'imagemixer.all',
  settings: [
    {
      id: 'ImageMixer.Key',
      name: 'Key of the paid service',
      category: ['Image Mixer', 'Image Mixer (Remote)', 'Key'],
      tooltip: 'Goes to this server and is kept there. It is never shown again, and no workflow, PNG or setting holds it.',
      defaultValue: '',
      type: () => keyForm(app),
    },
  ],
  init: () => dress(app),
  nodeCreated(node) {
    if (node.comfyClass?.startsWith('ImageMixer') && node.size[0] < WIDTH) node.setSize([WIDTH, node.size[1]])
  },
})
