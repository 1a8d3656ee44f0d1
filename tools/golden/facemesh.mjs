// What TensorFlow.js answers to a picture: node facemesh.mjs FOLDER PICTURE OUT
// FOLDER holds facemesh.json and facemesh.bin; PICTURE is float32 (N, 192, 192, 3); OUT gets the mesh, then the score.
import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';

const [folder, picture, out] = process.argv.slice(2);
const json = JSON.parse(fs.readFileSync(path.join(folder, 'facemesh.json')));
const bin = fs.readFileSync(path.join(folder, 'facemesh.bin'));
const model = await tf.loadGraphModel(tf.io.fromMemory({
  modelTopology: json.modelTopology,
  format: json.format,
  signature: json.signature,
  weightSpecs: json.weightsManifest.flatMap((group) => group.weights),
  weightData: bin.buffer.slice(bin.byteOffset, bin.byteOffset + bin.byteLength),
}));
const raw = fs.readFileSync(picture);
const values = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
const input = tf.tensor(values, [values.length / (192 * 192 * 3), 192, 192, 3]);
const [mesh, score] = model.execute(input, ['Identity_2', 'Identity_1']);
fs.writeFileSync(out, Buffer.concat([mesh, score].map((t) => Buffer.from(new Float32Array(t.dataSync()).buffer))));
console.log(tf.version.tfjs, tf.getBackend());
