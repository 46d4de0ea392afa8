"use strict";
// The network and what it is fed. Greys are 0 (paper) to 255 (ink), 28 x 28 of them, row by row.

const SIDE = 28;
const BOX = 20;

function decodeBytes(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function decodeLayer({ inputs, outputs, levels, scales, biases }) {
  const floats = (text) => new Float32Array(decodeBytes(text).buffer);
  levels = new Int8Array(decodeBytes(levels).buffer);
  return { inputs, outputs, levels, scales: floats(scales), biases: floats(biases) };
}

// A weight is its level times the scale of its row, so a row is multiplied by its scale but once.
function applyLayer({ inputs, outputs, levels, scales, biases }, values) {
  const result = new Float32Array(outputs);
  for (let unit = 0, start = 0; unit < outputs; unit++, start += inputs) {
    let sum = 0;
    for (let i = 0; i < inputs; i++) sum += levels[start + i] * values[i];
    result[unit] = sum * scales[unit] + biases[unit];
  }
  return result;
}

// What each layer puts out: after ReLU those of the hidden layers, and at last the ten logits.
function activationsOf(network, greys) {
  let values = Float32Array.from(greys, (grey) =>
    (grey / 255 - network.pixel_mean) / network.pixel_std);
  return network.layers.map((layer, number) => {
    const sums = applyLayer(layer, values);
    const isLast = number === network.layers.length - 1;
    values = isLast ? sums : sums.map((sum) => Math.max(0, sum));
    return values;
  });
}

function softmax(logits) {
  const greatest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - greatest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

// The images whose pixels, on the scale from 0 to 1, lie nearest by Euclidean distance.
function nearestTo(greys, images, count) {
  const found = images.map((image) => {
    let sum = 0;
    for (let i = 0; i < greys.length; i++) sum += (greys[i] - image.greys[i]) ** 2;
    return { image, distance: Math.sqrt(sum) / 255 };
  });
  return found.sort((a, b) => a.distance - b.distance).slice(0, count);
}

// From here on: ink of any size to the form that MNIST's images have. LeCun et al. 1998
// (Proceedings of the IEEE 86, section III.A): scaled with its proportions into 20 x 20 pixels,
// which makes greys of black and white, and placed by its centre of mass in 28 x 28.
// `ink` is 0 to 255, `width` values a row; without any ink there is no form (null).
function toMnistForm(ink, width) {
  const black = [];
  // The edge of a stroke is drawn in greys; MNIST's originals were black and white.
  ink.forEach((value, pixel) => { if (value >= 128) black.push(pixel); });
  const box = boundingBox(black, width);
  return box && placeByMass(areaAverage(ink, width, box));
}

function boundingBox(pixels, width) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  for (const pixel of pixels) {
    const x = pixel % width;
    const y = (pixel - x) / width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return right < 0 ? null : { left, top, right: right + 1, bottom: bottom + 1 };
}

// Each of the cells is the mean of the ink below it; what it covers beyond the box is blank.
function areaAverage(ink, width, { left, top, right, bottom }) {
  const step = Math.max(right - left, bottom - top) / BOX;
  const columns = Math.ceil((right - left) / step - 1e-9);
  const rows = Math.ceil((bottom - top) / step - 1e-9);
  const cells = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    const y = covered(top + row * step, step, bottom);
    for (let column = 0; column < columns; column++) {
      const x = covered(left + column * step, step, right);
      let sum = 0;
      for (const [j, height] of y) {
        for (const [i, breadth] of x) sum += ink[j * width + i] * height * breadth;
      }
      cells[row * columns + column] = sum / step ** 2;
    }
  }
  return { cells, columns, rows };
}

// The pixels that lie between `start` and `start + step`, each with how much of it does.
function covered(start, step, end) {
  const stop = Math.min(start + step, end);
  const pixels = [];
  for (let i = Math.floor(start); i < stop; i++) {
    pixels.push([i, Math.min(i + 1, stop) - Math.max(i, start)]);
  }
  return pixels;
}

function placeByMass({ cells, columns, rows }) {
  let [mass, x, y] = [0, 0, 0];
  cells.forEach((value, i) => {
    mass += value;
    x += value * ((i % columns) + 0.5);
    y += value * (Math.floor(i / columns) + 0.5);
  });
  const shift = (moment, size) =>
    Math.min(SIDE - size, Math.max(0, Math.round(SIDE / 2 - moment / mass)));
  const [left, top] = [shift(x, columns), shift(y, rows)];
  const greys = new Uint8Array(SIDE * SIDE);
  cells.forEach((value, i) => {
    const row = top + Math.floor(i / columns);
    greys[row * SIDE + left + (i % columns)] = Math.round(value);
  });
  return greys;
}
