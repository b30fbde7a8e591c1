"use strict";
(async () => {
  const place = document.getElementById("run");
  const say = (text) => { document.getElementById("figure-state").textContent = text; };
  try {
    const packed = Uint8Array.from(
      atob(document.getElementById("plotly").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = document.createElement("script");
    code.textContent = await new Response(stream).text();
    document.head.append(code);
    const source = document.getElementById("figure").textContent;
    const draw = () => {
      const style = getComputedStyle(document.documentElement);
      const themed = source.replace(/‹(\w+)›/g, (_, name) =>
        style.getPropertyValue("--" + name).trim());
      const figure = JSON.parse(themed);
      return Plotly.react(place, figure.data, figure.layout, {
        responsive: true, displaylogo: false,
        modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      });
    };
    await draw();
    say("");
    place.dataset.ready = "true";
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("beforeprint", () => Plotly.Plots.resize(place));
    addEventListener("afterprint", () => Plotly.Plots.resize(place));
  } catch (error) {
    say("The figure cannot be drawn in this browser (" + error + "); the tables below hold its numbers.");
    throw error;
  }
})();
