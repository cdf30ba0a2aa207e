// Draws every chart in the colours of the style sheet, and again when the colour scheme changes.
(() => {
  "use strict";
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const list = (name) => css(name).split(/\s+/);

  function theme() {
    const ink = css("--ink"), soft = css("--soft"), line = css("--line"), font = css("--sans");
    return {
      background: "transparent", font,
      view: { stroke: null },
      axis: {
        labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
        labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 10, labelLimit: 130,
      },
      axisY: { grid: false },
      legend: { labelColor: ink, labelFontSize: 12, offset: 8 },
      range: { category: list("--category"), ramp: list("--ramp"), heatmap: list("--ramp") },
      line: { color: ink }, point: { color: ink },
      style: {
        reference: { color: soft, strokeDash: [3, 3], strokeWidth: 1, opacity: 1 },
        quiet: { color: css("--quiet") },
        cell: { stroke: css("--paper"), strokeWidth: 2 },
        count: { color: ink, fontSize: 13 },
        "count-strong": { color: css("--on-ramp"), fontSize: 13, fontWeight: 600 },
      },
    };
  }

  async function draw() {
    const config = theme();
    const tooltip = { theme: scheme.matches ? "dark" : "light" };
    const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config, tooltip };
    for (const [id, spec] of Object.entries(specs)) {
      await window.vegaEmbed(document.getElementById(id), structuredClone(spec), options);
    }
    document.documentElement.dataset.charts = scheme.matches ? "dark" : "light";
  }

  scheme.addEventListener("change", draw);
  draw();
})();
