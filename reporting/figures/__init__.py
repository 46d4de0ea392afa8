"""The figures of the pages, as SVG that follows the colours of the page around it."""
