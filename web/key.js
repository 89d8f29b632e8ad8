// The setting of the service's key: a field that is written and never read.

import {app} from '../../scripts/app.js'
import {keyForm} from './lib/key.mjs'

app.registerExtension({
  name: 'imagemixer.key',
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
})
