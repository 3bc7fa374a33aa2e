// Draws: the network runs here, beside the page, so that a drag never waits for a picture.

import * as ort from "./ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // several would need headers that a plain server does not send
ort.env.wasm.wasmPaths = { wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href };

const session = ort.InferenceSession.create(new URL("./network.onnx", import.meta.url).href);
const floats = (rows) => new ort.Tensor("float32", Float32Array.from(rows.flat()), [rows.length, 3]);

/** A picture as PNG, for the editor shows and saves it as such. */
async function png(pixels, side) {
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(pixels), side, side), 0, 0);
  return (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer();
}

addEventListener("message", async ({ data: { number, size, picture, own, wanted } }) => {
  try {
    const network = await session;
    const begun = performance.now();
    const photo = new ort.Tensor("uint8", picture, [size, size, 3]);
    const { result } = await network.run({ picture: photo, own: floats(own), wanted: floats(wanted) });
    const bytes = await png(result.data, size);
    postMessage({ number, bytes, milliseconds: performance.now() - begun }, [bytes]);
  } catch (error) {
    postMessage({ number, error: String(error) });
  }
});
