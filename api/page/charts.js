// Lines over time, drawn by uPlot (MIT licence, vendor/LICENSE.uPlot).
import {el, milliseconds, whole} from './dom.js';

const COLOURS = ['#2a7de1', '#d9822b', '#c23b55', '#3d9a5f'];

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** At the axis: a whole number as such, and none between two of what comes in whole numbers. */
function mark(value, format) {
  if (format === milliseconds) return format(value);
  if (Number.isInteger(value)) return whole(value);
  return format === whole ? '' : format(value);
}

/**
 * A chart. series: [{label, format}]; set(rows) with rows of [time in s, value, …], null where there is none.
 * For those who cannot see it, the latest values are its label.
 */
export function chart(title, series) {
  const place = el('div', {class: 'plot', role: 'img', 'aria-label': title});
  const node = el('figure', {}, el('figcaption', {}, title), place);
  let plot = null;

  function make(data) {
    const axis = {stroke: style('--text'), grid: {stroke: style('--line'), width: 1}, ticks: {stroke: style('--line'), width: 1}};
    plot = new window.uPlot({
      width: Math.max(place.clientWidth, 200), height: 180, cursor: {y: false}, legend: {live: true},
      scales: {y: {range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1]}},
      axes: [axis, {...axis, size: 64, values: (u, ticks) => ticks.map((v) => mark(v, series[0].format))}],
      series: [{}, ...series.map((s, i) => ({label: s.label, stroke: COLOURS[i], width: 1.5, spanGaps: false,
        value: (u, v) => (v === null ? '–' : s.format(v))}))],
    }, data, place);
  }

  new ResizeObserver(() => plot && plot.setSize({width: Math.max(place.clientWidth, 200), height: 180})).observe(place);
  return {
    node,
    set(rows) {
      const data = [0, ...series.keys()].map((_, i) => rows.map((row) => (row[i] === undefined ? null : row[i])));
      if (plot === null && place.isConnected) make(data);
      else if (plot !== null) plot.setData(data);
      const last = rows.findLast((row) => row.slice(1).some((v) => v !== null));
      place.setAttribute('aria-label', last
        ? `${title}: ${series.map((s, i) => `${s.label} ${last[i + 1] === null ? 'none' : s.format(last[i + 1])}`).join(', ')}` : title);
    },
  };
}
