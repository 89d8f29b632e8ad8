// What all nodes of the pack share: the style sheet, the texts, and a width that cuts off neither title nor label. Also
// the setting of the service's key: a field that is only written, never read.

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
      tooltip: 'It is sent to this server and stored there. It is never shown again, and no workflow, PNG or setting contains it.',
      defaultValue: '',
      type: () => keyForm(app),
    },
  ],
  init: () => dress(app),
  nodeCreated(node) {
    if (node.comfyClass?.startsWith('ImageMixer') && node.size[0] < WIDTH) node.setSize([WIDTH, node.size[1]])
  },
})
