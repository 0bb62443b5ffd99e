"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const palette = ["#5b6cff", "#12b5a4", "#e2962d", "#e0506b", "#9b6bf2", "#3fa34d", "#c56bb8", "#4d9fe0", "#a08050", "#7a869a", "#d4622a", "#2f7f86"];
  const ms = (v) => v == null ? "–" : v < 1 ? v.toFixed(2) + " ms" : v < 100 ? v.toFixed(1) + " ms" : v < 10000 ? v.toFixed(0) + " ms" : (v / 1000).toFixed(1) + " s";
  const count = (v) => v == null ? "–" : v >= 1e6 ? (v / 1e6).toFixed(v >= 1e7 ? 0 : 1) + " M" : v >= 1e4 ? (v / 1e3).toFixed(0) + " k" : v >= 100 ? v.toFixed(0) : String(Math.round(v * 10) / 10);
  const seconds = (v) => v == null ? "–" : v.toFixed(0) + " s";
  const powers = (splits) => splits.map((v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? v : null);
  const short = (v) => v >= 1000 ? v / 1000 + " s" : Number(v.toPrecision(1)) + " ms";
  const axis = (values, more) => Object.assign({
    stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 },
    font: "12px system-ui, sans-serif", size: 66, values: (_, splits) => splits.map((v) => v == null ? "" : values(v)),
  }, more);
  const timeAxis = () => axis(seconds, { size: 40, incrs: [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400] });
  // On a logarithmic axis only powers of ten are told and drawn.
  const logAxis = (values, more) => axis(values, Object.assign({
    filter: (_, s) => powers(s), grid: { stroke: color("--line"), width: 1, filter: (_, s) => powers(s) },
    ticks: { stroke: color("--line"), width: 1, filter: (_, s) => powers(s) },
  }, more));
  const line = (label, i, values, more) => Object.assign({
    label, stroke: palette[i % palette.length], width: 2, points: { show: false }, value: (_, v) => values(v),
  }, more);

  const plots = [];
  const plot = (id, options, columns) => {
    const box = document.getElementById(id);
    if (!box) return;
    const width = () => Math.max(240, box.clientWidth);
    const p = new uPlot(Object.assign({ width: width(), height: 260, cursor: { drag: { x: true, y: false } } }, options), columns, box);
    plots.push(() => p.setSize({ width: width(), height: options.height || 260 }));
  };
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => plots.forEach((f) => f())); });

  const latencies = data.latencies.filter((l) => l.count > 0 && l.curve && l.curve.length > 1);
  if (latencies.length > 0) {
    const longest = latencies.reduce((a, b) => a.curve.length > b.curve.length ? a : b).curve;
    const x = longest.map((q) => 1 / (1 - q.percent / 100));
    const percent = (v) => { const p = 100 - 100 / v; return p > 99.9999 ? p.toFixed(5) : String(Math.round(p * 1e5) / 1e5); };
    plot("percentiles", {
      height: 340,
      scales: { x: { time: false, distr: 3, log: 10, range: (_, lo, hi) => [1, Math.max(10, hi)] }, y: { distr: 3, log: 10 } },
      axes: [logAxis((v) => percent(v) + " %", { size: 40 }), logAxis(short)],
      series: [{ label: "at", value: (_, v) => v == null ? "–" : percent(v) + " %" }].concat(latencies.map((l, i) => line(l.name, i, ms))),
    }, [x].concat(latencies.map((l) => x.map((_, i) => i < l.curve.length ? Math.max(0.001, l.curve[i].ns / 1e6) : null))));
  }

  const points = data.series || [];
  const at = points.map((p) => p.at_s);
  const column = (f) => points.map(f);
  const quantiles = (name) => ["p50_ns", "p99_ns", "max_ns"].map((q) => column((p) => p[name].count > 0 ? Math.max(0.001, p[name][q] / 1e6) : null));
  const overTime = (id, lines, columns, values, more) => plot(id, Object.assign({
    scales: { x: { time: false } },
    axes: [timeAxis(), axis(values)],
    series: [{ label: "at", value: (_, v) => seconds(v) }].concat(lines.map((l, i) => line(l, i, values, { spanGaps: true }))),
  }, more || {}), [at].concat(columns));
  const late = (id, name) => overTime(id, ["half", "99 %", "all"], quantiles(name), ms, {
    scales: { x: { time: false }, y: { distr: 3, log: 10 } },
    axes: [timeAxis(), logAxis(short)],
  });
  if (points.length > 1) {
    plot("delivered", {
      scales: { x: { time: false }, y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.1 : 1] }, mb: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.1 : 1] } },
      axes: [timeAxis(), axis(count), axis((v) => count(v) + " MB", { scale: "mb", side: 1, grid: { show: false } })],
      series: [{ label: "at", value: (_, v) => seconds(v) }, line("messages/s", 0, count), line("MB/s", 1, (v) => v == null ? "–" : v.toFixed(2), { scale: "mb" })],
    }, [at, column((p) => p.messages_per_s), column((p) => p.bytes_per_s / 1e6)]);
    const fromZero = { y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.1 : 1] }, x: { time: false } };
    late("delivery", "delivery");
    late("spread", "spread");
    overTime("connections", ["connected", "seats joined so far"], [column((p) => p.connected), column((p) => p.joined)], count, { scales: fromZero });
    overTime("ladder", ["skips/s", "updates skipped/s", "sequences degraded/s", "closed as slow/s"],
      [column((p) => p.skips_per_s), column((p) => p.updates_skipped_per_s), column((p) => p.degraded_per_s), column((p) => p.closed_slow_per_s)], count, { scales: fromZero });
  }
})();
