// From here on: photos, whose longer side has the 280 pixels of the pad.

const FAINT = 32; // of 255 shades: what differs less from paper is paper
const GRAIN = 3; // pixels: what is smaller is noise of the camera
const SPECK = 14; // pixels: what is smaller may be a piece of a digit, but is none itself

// The ink of a picture (RGBA values, `width` a row) on paper of either shade: how far a pixel is
// from the shade of the paper, on the side where most of the difference lies. Up to a quarter of
// the greatest difference is paper and shadow, from three quarters on all is ink.
function inkOf(rgba, width) {
  const greys = Float32Array.from({ length: rgba.length / 4 }, (_, i) =>
    0.299 * rgba[4 * i] + 0.587 * rgba[4 * i + 1] + 0.114 * rgba[4 * i + 2]);
  const paper = shadeOfPaper(greys, width);
  const differences = withoutTable(greys.map((grey) => paper - grey), width);
  const isDark = differences.reduce((sum, value) => sum + value * Math.abs(value), 0) > 0;
  const strengths = differences.map((value) => Math.max(0, isDark ? value : -value));
  const greatest = greatestOf(strengths);
  const ink = Uint8ClampedArray.from(strengths, (strength) =>
    255 * Math.min(1, Math.max(0, 2 * strength / greatest - 0.5)));
  return { ink, isDark, isBlank: greatest < FAINT };
}

// The median of a sample. Half of it is the border, where even a digit that fills the picture
// leaves paper; the other half is from all over, since a table can take up most of the border.
function shadeOfPaper(greys, width) {
  const height = greys.length / width;
  const step = Math.ceil(greys.length / (2 * (width + height)));
  const sample = greys.filter((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x === 0 || y === 0 || x === width - 1 || y === height - 1 || (x + y) % step === 0;
  }).sort();
  return sample[sample.length >> 1];
}

function greatestOf(values) {
  return values.reduce((a, b) => Math.max(a, b));
}

// Paper has straight edges: where one crosses the picture, a corner of the picture lies beyond it,
// and shows the table, darker than the paper or lighter. Shadows fall from the corners as well.
function withoutTable(differences, width) {
  const corners = [0, width - 1, differences.length - width, differences.length - 1];
  const rest = differences.slice();
  for (const strengths of [differences, differences.map((value) => -value)]) {
    for (const { pixels } of regionsOf(strengths, width)) {
      if (!corners.some((corner) => pixels.includes(corner))) continue;
      for (const pixel of pixels) rest[pixel] = 0;
    }
  }
  // The ink of a digit that fills the picture can reach a corner too; then hardly anything is left.
  const [before, after] = [differences, rest].map((values) => values.map(Math.abs));
  const isLeft = greatestOf(after) > greatestOf(before) / 4 &&
    regionsOf(after, width).some(({ box }) => liesInside(box, width, after.length / width));
  return isLeft ? rest : differences;
}

// Pixels that touch and have half of the greatest value, with the soft edge around them. It is
// followed as far as it fades, so that two strokes stay apart though their edges meet.
function regionsOf(values, width) {
  const least = Math.max(FAINT, greatestOf(values)) / 2;
  const isTaken = new Uint8Array(values.length);
  const regions = [];
  values.forEach((value, start) => {
    if (value < least || isTaken[start]) return;
    const pixels = [start];
    isTaken[start] = 1;
    for (const pixel of pixels) { // those that are added meanwhile have their turn as well
      for (const next of neighboursOf(pixel, width)) {
        const isSolid = values[pixel] >= least && values[next] >= least;
        const fades = values[next] > 0 && values[next] < values[pixel];
        if (isTaken[next] || !(isSolid || fades)) continue;
        isTaken[next] = 1;
        pixels.push(next);
      }
    }
    const box = boundingBox(pixels.filter((pixel) => values[pixel] >= least), width);
    if (sizeOf(box) >= GRAIN) regions.push({ pixels, box });
  });
  return regions;
}

// At the border some are no pixels, and have no values.
function neighboursOf(pixel, width) {
  const x = pixel % width;
  return [pixel - width, pixel + width, x > 0 ? pixel - 1 : -1, x < width - 1 ? pixel + 1 : -1];
}

function sizeOf({ left, right, top, bottom }) {
  return Math.max(right - left, bottom - top);
}

function liesInside(box, width, height) {
  const touches = box.left === 0 || box.top === 0 || box.right === width || box.bottom === height;
  return !touches && sizeOf(box) >= SPECK;
}

// Digits are mostly written side by side, and their pieces rather lie above each other: the bar of
// a 5. So less of a gap parts what stands side by side.
function isNear(a, b) {
  const size = Math.max(sizeOf(a), sizeOf(b));
  const across = Math.max(a.left, b.left) - Math.min(a.right, b.right);
  const down = Math.max(a.top, b.top) - Math.min(a.bottom, b.bottom);
  return across < size / 10 && down < size / 5;
}

function groupsOf(regions) {
  let groups = [];
  for (const region of regions) {
    const isFar = (group) => !group.some(({ box }) => isNear(box, region.box));
    const near = groups.filter((group) => !isFar(group));
    groups = [...groups.filter(isFar), [region, ...near.flat()]];
  }
  return groups.map((group) => ({
    pixels: group.flatMap(({ pixels }) => pixels),
    left: Math.min(...group.map(({ box }) => box.left)),
    right: Math.max(...group.map(({ box }) => box.right)),
    top: Math.min(...group.map(({ box }) => box.top)),
    bottom: Math.max(...group.map(({ box }) => box.bottom)),
  }));
}

// The ink of one digit: of several, the one nearest to the middle. Fingers, lines and the rest of
// another digit touch the border; but where all of the ink does, the picture was cut to the digit.
function middleDigit(ink, width) {
  const height = ink.length / width;
  const groups = groupsOf(regionsOf(ink, width));
  const inside = groups.filter((group) => liesInside(group, width, height));
  if (inside.length === 0) return { ink, isOneOfSeveral: false };
  const largest = Math.max(...inside.map(sizeOf));
  const digits = inside.filter((group) => sizeOf(group) > largest / 2);
  const distance = ({ left, right, top, bottom }) =>
    Math.hypot(left + right - width, top + bottom - height);
  const [middle] = digits.sort((a, b) => distance(a) - distance(b));
  const alone = new Uint8ClampedArray(ink.length);
  for (const pixel of middle.pixels) alone[pixel] = ink[pixel];
  return { ink: alone, isOneOfSeveral: digits.length > 1 };
}
