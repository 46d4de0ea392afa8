// Questions to a page that only a browser can answer; what is wrong comes back as lines of text.
globalThis.probes = (() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  // A computed colour can have any notation; a pixel of it has one.
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }

  function over([red, green, blue, alpha], below) {
    return [red, green, blue].map((value, i) => alpha * value + (1 - alpha) * below[i]);
  }

  // WCAG 2.2, definitions of relative luminance and of contrast ratio.
  function contrast(one, other) {
    const [dark, light] = [one, other].map((colour) => {
      const [red, green, blue] = colour.map((value) =>
        value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    }).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function backgroundOf(element) {
    const [red, green, blue, alpha] = rgba(getComputedStyle(element).backgroundColor);
    return alpha === 1 ? [red, green, blue] : backgroundOf(element.parentElement);
  }

  function painted(element, property, below) {
    const style = getComputedStyle(element);
    const [red, green, blue, alpha] = rgba(style[property]);
    return over([red, green, blue, alpha * style[`${property}Opacity`] * style.opacity], below);
  }

  // What lies under the middle of an SVG text: the fills of its figure's shapes, on a background.
  function groundOf(text) {
    const box = text.getBoundingClientRect();
    const stack = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return stack.reverse()
      .filter((element) => element.matches("svg *:not(text, tspan)"))
      .filter((element) => getComputedStyle(element).fill !== "none")
      .reduce((below, element) => painted(element, "fill", below), backgroundOf(text));
  }

  function described(element) {
    const text = element.textContent.trim().slice(0, 60);
    return `${element.cloneNode(false).outerHTML.slice(0, 100)} ${text}`;
  }

  function isInScrollRegion(element) {
    for (let parent = element.parentElement; parent; parent = parent.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(parent).overflowX)) return true;
    }
    return false;
  }

  function sticksOut(box, left, right) {
    return box.width > 0 && (box.left < left - 1 || box.right > right + 1);
  }

  return {
    overflowing() {
      const { clientWidth, scrollWidth } = document.documentElement;
      const found = [...document.body.querySelectorAll(":not(svg *)")].filter((element) =>
        sticksOut(element.getBoundingClientRect(), 0, clientWidth) && !isInScrollRegion(element));
      const wide = scrollWidth > clientWidth ? [`page: ${scrollWidth} > ${clientWidth}`] : [];
      return [...wide, ...found.map(described)];
    },

    // A figure hides what leaves it, so a label too long is a label cut.
    cutLabels() {
      return [...document.querySelectorAll("svg text")].filter((text) => {
        const figure = text.ownerSVGElement.getBoundingClientRect();
        return sticksOut(text.getBoundingClientRect(), figure.left, figure.right);
      }).map(described);
    },

    // How high the texts of figures are as displayed, in CSS pixels.
    textHeights() {
      return [...document.querySelectorAll("svg text")].map((text) =>
        parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a);
    },

    // Where the last of an element's figures ends, and where an element begins.
    endOfFigures(selector) {
      const figures = document.querySelector(selector).querySelectorAll("svg.figure");
      return Math.max(...[...figures].map((figure) => figure.getBoundingClientRect().bottom));
    },

    topOf(selector) {
      return document.querySelector(selector).getBoundingClientRect().top;
    },

    pageHeight() {
      return document.documentElement.scrollHeight;
    },

    // Regions with more to the right than they show, of those that a selector finds.
    mostLines(selector) {
      return Math.max(...[...document.querySelectorAll(selector)].map((element) => {
        const range = document.createRange();
        range.selectNodeContents(element);
        return new Set([...range.getClientRects()].map((box) => box.top)).size;
      }));
    },

    cutRegions(selector) {
      return [...document.querySelectorAll(selector)]
        .filter((region) => region.scrollWidth > region.clientWidth + 1).map(described);
    },

    headings() {
      return [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((h) => Number(h.tagName[1]));
    },

    tabStops() {
      const reachable = "a[href], button, input, select, textarea, summary, [tabindex='0']";
      return [...document.querySelectorAll(reachable)].filter((e) => e.checkVisibility()).map(described);
    },

    focused() {
      const element = document.activeElement;
      const ring = getComputedStyle(element).outlineStyle === "none" ? " without outline" : "";
      return described(element) + ring;
    },

    textFills() {
      return [...document.querySelectorAll("svg text")].map((text) => getComputedStyle(text).fill);
    },

    faintLabels() {
      return [...document.querySelectorAll("svg text")].map((text) => {
        const ground = groundOf(text);
        return [contrast(painted(text, "fill", ground), ground), text];
      }).filter(([ratio]) => ratio < 4.5)
        .map(([ratio, text]) => `${ratio.toFixed(2)}: ${described(text)} in ${text.ownerSVGElement.ariaLabel}`);
    },

    // The contrast of each colour that stands for a series: lines, marks and bars, not tinted areas.
    seriesContrasts() {
      const root = getComputedStyle(document.documentElement);
      const names = [1, 2, 3, 4].map((number) => `--series-${number}`);
      const shown = (colour) => String(rgba(colour));
      const found = {};
      for (const mark of document.querySelectorAll("svg :is(path, use)")) {
        for (const property of ["stroke", "fill"]) {
          const style = getComputedStyle(mark);
          const name = style[property] !== "none"
            && names.find((name) => shown(root.getPropertyValue(name)) === shown(style[property]));
          if (name && style[`${property}Opacity`] === "1") {
            const background = backgroundOf(mark);
            found[name] = contrast(painted(mark, property, background), background);
          }
        }
      }
      return found;
    },

    figureBoxes() {
      return [...document.querySelectorAll("figure")].map((figure) => ({
        name: figure.innerText.slice(0, 60),
        breakInside: getComputedStyle(figure).breakInside,
        height: figure.getBoundingClientRect().height,
      }));
    },

    // Tables that fit on a page of a height, and yet may be broken across two when printed.
    breakableTables(pageHeight) {
      return [...document.querySelectorAll(".scroll")].filter((region) =>
        region.getBoundingClientRect().height < pageHeight / 2
        && getComputedStyle(region).breakInside !== "avoid").map((region) => region.ariaLabel);
    },

    // What axe's default rules find, and of how many texts it cannot tell the contrast, by reason.
    async accessibility() {
      const found = await axe.run({ resultTypes: ["violations", "incomplete"] });
      const unsure = {};
      for (const node of found.incomplete.find(({ id }) => id === "color-contrast")?.nodes ?? []) {
        const reason = node.any[0].data.messageKey;
        unsure[reason] = (unsure[reason] ?? 0) + 1;
      }
      const violations = found.violations.map(({ id, impact, help, nodes }) => [
        `${id} (${impact}): ${help}`,
        ...nodes.slice(0, 5).flatMap(({ target, html }) => [`  ${target}`, `    ${html.slice(0, 300)}`]),
      ].join("\n"));
      return { violations, unsure };
    },

    removeStyles() {
      document.querySelectorAll("style, link").forEach((element) => element.remove());
      document.querySelectorAll("[style]").forEach((element) => element.removeAttribute("style"));
    },
  };
})();
