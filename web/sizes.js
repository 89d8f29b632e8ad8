// The size that a node of this pack is born with cuts off neither its title nor the label of a widget.

import {app} from '../../scripts/app.js'

const WIDTH = 300

app.registerExtension({
  name: 'imagemixer.sizes',
  nodeCreated(node) {
    if (node.comfyClass?.startsWith('ImageMixer') && node.size[0] < WIDTH) node.setSize([WIDTH, node.size[1]])
  },
})
