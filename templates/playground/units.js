// One unit of a hidden layer: what it puts out, its weights, and what it looks for. A layer is shown
// as rows of 64 units.

const COLUMNS = 64;
const RAISES = [11, 98, 184];
const LOWERS = [179, 83, 11];

function weightsOf({ inputs, levels, scales }, unit) {
  const row = levels.subarray(unit * inputs, (unit + 1) * inputs);
  return Float32Array.from(row, (level) => level * scales[unit]);
}

// How each pixel changes the unit's sum: its weights, brought back through the units below that are
// active, which is what the network computes until one of them turns on or off.
function pixelWeights(number, unit) {
  let weights = weightsOf(hiddenLayers[number], unit);
  for (let below = number - 1; below >= 0; below--) {
    const layer = hiddenLayers[below];
    const sums = new Float32Array(layer.inputs);
    weights.forEach((weight, i) => {
      if (!activations[below][i]) return;
      weightsOf(layer, i).forEach((value, input) => { sums[input] += weight * value; });
    });
    weights = sums;
  }
  return weights;
}

// Blue where a value is above 0 and orange where it is below, in as much opacity as it has size.
function paintSigned(canvas, values, columns) {
  Object.assign(canvas, { width: columns, height: Math.ceil(values.length / columns) });
  const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const image = new ImageData(canvas.width, canvas.height);
  values.forEach((value, i) => {
    const opacity = greatest && 255 * Math.abs(value) / greatest;
    image.data.set([...(value > 0 ? RAISES : LOWERS), opacity], 4 * i);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function chooseUnit(number, unit) {
  byId("layer").value = number;
  byId("unit").value = unit;
}

function showUnit() {
  const number = Number(byId("layer").value);
  const { inputs, outputs, biases } = hiddenLayers[number];
  const field = byId("unit");
  field.max = outputs - 1;
  // While it is typed in, the field can be empty or name no unit.
  const unit = Math.min(Math.max(0, Math.trunc(field.value)), outputs - 1);
  const now = activations ? `It puts out ${activations[number][unit].toFixed(2)} now. ` : "";
  byId("unit-now").textContent = `${now}Its bias is ${signed(biases[unit])}.`;
  const weights = weightsOf(hiddenLayers[number], unit);
  paintSigned(byId("weights"), weights, number ? Math.min(COLUMNS, inputs) : SIDE);
  byId("weights-of").textContent =
    `Its incoming weights, one from each ${number ? `unit of hidden layer ${number}` : "pixel"}`;
  byId("looked-for").hidden = !number || !activations;
  if (number && activations) paintSigned(byId("pixels"), pixelWeights(number, unit), SIDE);
  const images = data.strongest_images[number][unit].map((place) => trainingDigits[place]);
  byId("strongest-of").textContent = images.length
    ? "What it looks for: the training images that activate it most."
    : "No training image in this page activates it.";
  showImages("strongest", images.map((image) => ({ image, about: `no. ${image.index}` })));
  hiddenLayers.forEach((layer, i) => placeMark(byId(`mark-${i + 1}`), layer, i === number && unit));
}

// Around a unit, or around none (false).
function placeMark(mark, { outputs }, unit) {
  mark.hidden = unit === false;
  const columns = Math.min(COLUMNS, outputs);
  const rows = Math.ceil(outputs / columns);
  const [width, height] = [100 / columns, 100 / rows];
  const [left, top] = [width * (unit % columns), height * Math.floor(unit / columns)];
  Object.entries({ width, height, left, top }).forEach(([name, percent]) => {
    mark.style[name] = `${percent}%`;
  });
}

// The unit that was clicked in the picture of a layer; null where the last row has ended.
function unitAt({ target, offsetX, offsetY }, outputs) {
  const place = (offset, shown, cells) =>
    Math.min(Math.max(0, Math.floor(cells * offset / shown)), cells - 1);
  const unit = place(offsetY, target.clientHeight, target.height) * target.width
    + place(offsetX, target.clientWidth, target.width);
  return unit < outputs ? unit : null;
}
