import { app } from '/scripts/app.js';

app.registerExtension({
  name: 'Comfy.RgthreeComfy',
  settings: [{ id: 'rgthree.pads', name: 'Pads', type: 'boolean', defaultValue: true }],
});
app.registerExtension({ name: 'rgthree.Seed' });
