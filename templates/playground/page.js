// The page: what is drawn, pasted or picked goes into the network of network.js.

const PEN_WIDTH = 22; // of the pad's 280 units: two or three of MNIST's pixels in a digit drawn large
const SPEAK_AFTER = 800; // milliseconds of pause

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const network = { ...data.network, layers: data.network.layers.map(decodeLayer) };
const hiddenLayers = network.layers.slice(0, -1);
const withGreys = (digit) => ({ ...digit, greys: decodeBytes(digit.pixels) });
const testDigits = data.test_digits.map(withGreys);
const trainingDigits = data.training_digits.map(withGreys);

const pad = byId("pad");
const pen = pad.getContext("2d", { willReadFrequently: true });

// All that was put on the pad, in order, so that each of it can be undone. An item is a stroke
// { points }, a picture { image, note }, a test digit { image, digit } or a blank sheet { }.
const items = [];

// What is to be seen of them. One can draw on a picture, but drawing ends the look at a test digit.
function sheet() {
  const start = items.findLastIndex((item) => !item.points);
  const stays = (items[start]?.note && items[start].image) || start === items.length - 1;
  return items.slice(stays ? start : start + 1);
}

function testDigitShown() {
  return items.at(-1)?.digit;
}

function add(item) {
  items.push(item);
  refresh();
}

function canvasOf(alphas, width) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height: alphas.length / width });
  paintGreys(canvas, alphas);
  return canvas;
}

// Black in as much opacity as there is ink, so that the style sheet can turn it white on black.
function paintGreys(canvas, greys) {
  const image = new ImageData(canvas.width, canvas.height);
  greys.forEach((grey, i) => { image.data[4 * i + 3] = grey; });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function paintPad() {
  pen.clearRect(0, 0, pad.width, pad.height);
  pen.imageSmoothingEnabled = !testDigitShown();
  for (const { points, image } of sheet()) {
    if (points) paintStroke(points);
    if (image) paintFitted(image);
  }
}

function paintStroke(points) {
  Object.assign(pen, { lineWidth: PEN_WIDTH, lineCap: "round", lineJoin: "round" });
  pen.beginPath();
  pen.moveTo(points[0][0] - 0.01, points[0][1]); // without any length a tap would leave no dot
  for (const point of points) pen.lineTo(...point);
  pen.stroke();
}

function paintFitted(image) {
  const scale = Math.min(pad.width / image.width, pad.height / image.height);
  const [width, height] = [scale * image.width, scale * image.height];
  // A photo has the size of the pad: in between its pixels it would be blurred.
  const [left, top] = [(pad.width - width) / 2, (pad.height - height) / 2].map(Math.floor);
  pen.drawImage(image, left, top, width, height);
}

function inkOnPad() {
  const { data: rgba } = pen.getImageData(0, 0, pad.width, pad.height);
  const ink = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < ink.length; i++) ink[i] = rgba[4 * i + 3];
  return ink;
}

// A test digit goes in as it is; everything else is brought to its form first.
function inputOfNetwork() {
  return testDigitShown()?.greys ?? toMnistForm(inkOnPad(), pad.width);
}

// At most once a frame, however many events arrive in it.
let frame = 0;
let pause = 0;
function refresh() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    update();
  });
  clearTimeout(pause);
  pause = setTimeout(speak, SPEAK_AFTER);
}

function update() {
  paintPad();
  show(inputOfNetwork());
}

let activations = null;

function show(greys) {
  activations = greys && activationsOf(network, greys);
  const logits = activations?.at(-1);
  const probabilities = logits && softmax(logits);
  const answer = logits && logits.indexOf(Math.max(...logits));
  byId("answer").textContent = greys ? answer : "–";
  byId("sure").textContent = greys ? percent(probabilities[answer]) : "";
  byId("source").textContent = sourceOf(greys, answer);
  paintGreys(byId("seen"), greys ?? new Uint8Array(SIDE * SIDE));
  showProbabilities(probabilities, logits, answer);
  hiddenLayers.forEach((layer, i) =>
    showUnits(i + 1, activations?.[i] ?? new Float32Array(layer.outputs)));
  if (hiddenLayers.length) showUnit();
  const neighbours = greys ? nearestTo(greys, trainingDigits, 6) : [];
  showImages("neighbours", neighbours.map(({ image, distance }) =>
    ({ image, about: `${distance.toFixed(2)}\nno. ${image.index}` })));
  for (const pick of document.querySelectorAll(".picks input")) {
    pick.checked = testDigits[pick.value] === testDigitShown();
  }
  // What has nothing to show is not printed.
  for (const part of document.querySelectorAll(".shows")) part.classList.toggle("empty", !greys);
}

// Rounded down, so that only certainty is called 100 %.
function percent(probability) {
  return `${(Math.floor(1000 * probability) / 10).toFixed(1)}\u00a0%`;
}

function sourceOf(greys, answer) {
  const digit = testDigitShown();
  if (digit) {
    const verdict = digit.true === answer ? "right" : "wrong";
    return `Test image no. ${digit.index}, a ${digit.true}: the answer is ${verdict}.`;
  }
  const note = sheet()[0]?.note;
  if (note) return note;
  if (!greys) return "Nothing is drawn yet.";
  return "Your drawing, brought to the form of MNIST’s images.";
}

// For a screen reader, and not while the hand still moves.
function speak() {
  const said = activations ? [`${byId("answer").textContent}, ${byId("sure").textContent}`] : [];
  if (testDigitShown() || sheet()[0]?.note) said.push(byId("source").textContent);
  byId("said").textContent = said.join(". ");
}

function showProbabilities(probabilities, logits, answer) {
  [...byId("probabilities").tBodies[0].rows].forEach((row, digit) => {
    const [, bar, share, logit] = row.cells;
    row.classList.toggle("greatest", digit === answer);
    bar.firstElementChild.style.width = `${100 * (probabilities?.[digit] ?? 0)}%`;
    share.textContent = probabilities ? percent(probabilities[digit]) : "–";
    logit.textContent = logits ? signed(logits[digit]) : "–";
  });
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}

function showUnits(number, values) {
  const greatest = values.reduce((a, b) => Math.max(a, b), 0);
  const active = values.reduce((count, value) => count + (value > 0), 0);
  paintGreys(byId(`units-${number}`), values.map((value) => greatest && 255 * value / greatest));
  byId(`active-${number}`).textContent = active.toLocaleString("en");
}

// The elements stay, and their contents change: a list made anew in each frame would flicker.
function showImages(id, shown) {
  [...byId(id).children].forEach((element, i) => {
    element.style.visibility = shown[i] ? "visible" : "hidden";
    if (!shown[i]) return;
    const { image, about } = shown[i];
    const [canvas, digit, small] = element.children;
    paintGreys(canvas, image.greys);
    canvas.setAttribute("aria-label", `a ${image.digit}`);
    digit.textContent = image.digit;
    small.textContent = about;
  });
}

function pointOf({ clientX, clientY }) {
  const { left, top, width, height } = pad.getBoundingClientRect();
  return [(clientX - left) * pad.width / width, (clientY - top) * pad.height / height];
}

// One pointer draws at a time: a palm that lies on the screen as well does not.
let stroke = null;
pad.addEventListener("pointerdown", (event) => {
  if (stroke || event.button !== 0) return;
  pad.setPointerCapture(event.pointerId);
  stroke = { pointer: event.pointerId, points: [pointOf(event)] };
  add(stroke);
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== stroke?.pointer) return;
  // A fast pen moves more often than the screen is painted.
  const moves = event.getCoalescedEvents();
  stroke.points.push(...(moves.length ? moves : [event]).map(pointOf));
  refresh();
});
pad.addEventListener("lostpointercapture", () => { stroke = null; });

function undo() {
  items.pop();
  refresh();
}

byId("undo").addEventListener("click", undo);
byId("clear").addEventListener("click", () => add({}));
document.addEventListener("keydown", (event) => {
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
});

const withImage = (digit) => ({ digit, image: canvasOf(digit.greys, SIDE) });
for (const pick of document.querySelectorAll(".picks input")) {
  pick.addEventListener("change", () => add(withImage(testDigits[pick.value])));
}

for (const field of document.querySelectorAll("#layer, #unit")) {
  field.addEventListener("input", refresh);
}
hiddenLayers.forEach(({ outputs }, number) => {
  byId(`units-${number + 1}`).addEventListener("click", (event) => {
    const unit = unitAt(event, outputs);
    if (unit !== null) chooseUnit(number, unit);
    refresh();
  });
});

async function takePicture(file) {
  if (!file) return;
  try {
    add(await pictureOf(await createImageBitmap(file)));
  } catch {
    byId("source").textContent = byId("said").textContent = "That is no picture this browser can read.";
  }
}

async function pictureOf(bitmap) {
  const scale = Math.min(pad.width / bitmap.width, pad.height / bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map((side) =>
    Math.max(1, Math.round(scale * side)));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white"; // what is transparent is paper
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { ink, isDark, isBlank } = inkOf(context.getImageData(0, 0, width, height).data, width);
  if (isBlank) return { note: "No ink was found in the picture." };
  const shades = isDark ? "dark on light, so it was inverted" : "light on dark, as MNIST has it";
  const digit = middleDigit(ink, width);
  const doubt = digit.isOneOfSeveral ? "Is there more than one digit? The middle one is answered. " : "";
  const note = `${doubt}Your picture: ${shades}; faint shades were taken for paper, and the rest was brought to MNIST’s form.`;
  return { image: canvasOf(digit.ink, width), note };
}

byId("file").addEventListener("change", (event) => {
  takePicture(event.target.files[0]);
  event.target.value = ""; // so that choosing the same file again is a change
});
document.addEventListener("paste", (event) => takePicture(event.clipboardData.files[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault(); // else the browser would leave the page for the picture
  takePicture(event.dataTransfer.files[0]);
});

// The page opens with an answer, to the first test image that is recognised, and with the unit that
// this activates most.
const opening = document.querySelector("[name=recognised]") ?? document.querySelector(".picks input");
if (opening) items.push(withImage(testDigits[opening.value]));
update();
if (opening && hiddenLayers.length) {
  chooseUnit(0, activations[0].indexOf(Math.max(...activations[0])));
  update();
}
