// A stacked bar chart by day, for one currency. Floats are used for lengths in the drawing only.
import { chartNameText, element, formatAmount, svgElement, toDrawnNumber } from "./spend-format.js";

const MARGIN = { top: 12, right: 8, bottom: 26, left: 60 };
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const scientific = new Intl.NumberFormat("en", { notation: "scientific", maximumSignificantDigits: 3 });
// The names in the text of a drawing, and their length, are limited: a screen reader reads the whole text.
const DESCRIBED_NAMES = 5;
const DESCRIBED_NAME_LENGTH = 40;

// Shows the chart in `parent`: a drawing, a slider that selects a day, a legend with amounts, and a table.
// Returns a function that ends the drawing for new widths.
export function showChart(parent, chart, sum, range) {
  const figure = element("figure", "card");
  figure.append(element("figcaption", "", `${chart.currency} by day`));
  const layout = element("div", "plot-layout");
  const drawing = element("div");
  const svg = svgElement("svg", { class: "plot", role: "img", "aria-label": describeChart(chart, range) });
  const legend = new Legend(chart, sum);
  const slider = makeDaySlider(chart);
  drawing.append(svg, slider.label);
  layout.append(drawing, legend.root);
  figure.append(layout, makeDayTable(chart));
  parent.append(figure);

  const observer = connectChart(svg, slider, legend, chart);
  return () => observer.disconnect();
}

// Draws the chart for each new width, and shows the day of the pointer or of the slider in the drawing and the legend.
// Returns the observer of the width.
function connectChart(svg, slider, legend, chart) {
  // The index of a day, or `null` for all days. The day under the pointer has priority over that of the slider.
  let selected = null;
  let pointed = null;
  let dayGroups = [];
  const show = () => {
    const shown = pointed ?? selected;
    dayGroups.forEach((group, index) => group.classList.toggle("on", index === shown));
    legend.show(shown);
  };
  const setPointed = (index) => {
    pointed = index;
    show();
  };
  const redraw = () => {
    dayGroups = draw(svg, chart);
    dayGroups.forEach((group, index) => group.addEventListener("pointerenter", () => setPointed(index)));
    show();
  };
  svg.addEventListener("pointerleave", () => setPointed(null));
  slider.input.addEventListener("input", () => {
    selected = slider.selected();
    show();
  });
  const observer = new ResizeObserver(redraw);
  observer.observe(svg);
  return observer;
}

// Returns the text of the drawing for screen readers.
function describeChart(chart, range) {
  const names = chart.names.slice(0, DESCRIBED_NAMES).map((name, index) => {
    return `${shorten(chartNameText(name))}: ${formatAmount(chart.name_sums[index])}`;
  });
  return `Stacked bars of the spend in ${chart.currency} for each day from ${range.from} to ${range.to}. `
    + `The largest: ${names.join("; ")}. The amounts of each day are in the table below.`;
}

// Returns a name with at most the described length.
function shorten(name) {
  const characters = [...name];
  if (characters.length <= DESCRIBED_NAME_LENGTH) {
    return name;
  }
  return `${characters.slice(0, DESCRIBED_NAME_LENGTH).join("")}…`;
}

// Returns a slider over the days, which the arrow keys move. Its first position is all days.
function makeDaySlider(chart) {
  const label = element("label", "day-choice", "Day");
  const input = element("input");
  input.type = "range";
  input.min = "0";
  input.max = String(chart.days.length);
  input.value = "0";
  const selected = () => (input.value === "0" ? null : Number(input.value) - 1);
  const describe = () => {
    const index = selected();
    const text = index === null
      ? "all days"
      : `${chart.days[index].start}, ${formatAmount(chart.day_sums[index])} ${chart.currency}`;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", describe);
  describe();
  label.append(input);
  return { label, input, selected };
}

// The list of names with their amounts: of the range, or of the selected day.
class Legend {
  constructor(chart, sum) {
    this.chart = chart;
    this.all = sum;
    this.root = element("div");
    this.title = element("span", "", "");
    this.sum = element("span", "amount", "");
    const head = element("p", "legend-title");
    head.append(this.title, this.sum);
    this.list = element("ul", "legend");
    this.amounts = chart.names.map((chartName, index) => {
      const text = chartNameText(chartName);
      const item = element("li");
      const swatch = svgElement("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" });
      swatch.append(svgElement("rect", { width: 12, height: 12, rx: 3, class: colorClass(chartName.kind, index) }));
      const amount = element("span", "amount");
      const name = element("span", "name", text);
      name.title = text;
      item.append(swatch, name, amount);
      this.list.append(item);
      return amount;
    });
    this.root.append(head, this.list);
  }

  // Shows the amounts of a day, or of all days for null.
  show(index) {
    const { chart } = this;
    const day = chart.days[index];
    this.title.textContent = day ? day.start : "All days";
    this.sum.textContent = formatAmount(day ? chart.day_sums[index] : this.all.amount);
    this.amounts.forEach((cell, nameIndex) => {
      cell.textContent = formatAmount(day ? day.amounts[nameIndex] : chart.name_sums[nameIndex]);
    });
  }
}

// Returns the class of the color of a name.
function colorClass(kind, index) {
  return kind === "rest" ? "rest" : `s${index}`;
}

// Draws the chart for the present width, and returns the SVG group of each day.
function draw(svg, chart) {
  const width = Math.max(svg.clientWidth, 200);
  const height = Math.max(svg.clientHeight, 120);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const scale = valueScale(chart, height);
  drawGrid(svg, scale, width);
  const step = (width - MARGIN.left - MARGIN.right) / chart.days.length;
  const dayGroups = chart.days.map((_, index) => drawDay(svg, chart, index, step, scale, height));
  drawDayLabels(svg, chart, step, height);
  const zero = scale.y(0);
  svg.append(svgElement("line", { class: "zero", x1: MARGIN.left, x2: width - MARGIN.right, y1: zero, y2: zero }));
  return dayGroups;
}

// Returns the ticks of the vertical axis, and the function from an amount to a coordinate.
function valueScale(chart, height) {
  let { low, high } = valueRange(chart);
  let step = niceStep((high - low) / 4);
  // Without amounts, or with sums near the smallest float, there is no step.
  if (!(Number.isFinite(step) && step > 0)) {
    low = 0;
    high = 1;
    step = niceStep((high - low) / 4);
  }
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  const ticks = [];
  for (let tick = first; tick <= last; tick += 1) {
    ticks.push(tick * step);
  }
  const length = height - MARGIN.top - MARGIN.bottom;
  const y = (value) => MARGIN.top + length * (1 - (value / step - first) / (last - first));
  return { ticks, y };
}

// Returns the lowest and the highest end of the bars of all days.
function valueRange(chart) {
  let high = 0;
  let low = 0;
  chart.days.forEach((day) => {
    const values = day.amounts.map(toDrawnNumber);
    const sum = (parts) => parts.reduce((total, part) => total + part, 0);
    high = Math.max(high, sum(values.filter((value) => value > 0)));
    low = Math.min(low, sum(values.filter((value) => value < 0)));
  });
  return { low, high };
}

// Returns the smallest of 1, 2, 2.5 and 5, times a power of ten, that is not below a length.
function niceStep(length) {
  // The factor 0.9999 accepts a step that is too small only by the rounding of floats.
  const power = 10 ** Math.floor(Math.log10(length));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= length * 0.9999);
}

// Draws a line and a label for each tick of the vertical axis.
function drawGrid(svg, scale, width) {
  for (const tick of scale.ticks) {
    const y = scale.y(tick);
    svg.append(svgElement("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
    const label = svgElement("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" });
    label.textContent = formatTick(tick);
    svg.append(label);
  }
}

// Returns the label of a tick. The compact notation of other numbers has too many digits for the margin.
function formatTick(tick) {
  const size = Math.abs(tick);
  const isShort = size === 0 || (size >= 0.0001 && size < 1e15);
  return isShort ? compact.format(tick) : scientific.format(tick);
}

// Draws one day: an area that reacts to the pointer, and a bar for each name. Negative amounts are below zero.
// Returns the SVG group of the day.
function drawDay(svg, chart, day, step, scale, height) {
  const x = MARGIN.left + day * step;
  const group = svgElement("g", { class: "day" });
  const hitHeight = height - MARGIN.top - MARGIN.bottom;
  group.append(svgElement("rect", { class: "hit", x, y: MARGIN.top, width: step, height: hitHeight }));
  const gap = Math.min(step * 0.2, 8);
  let above = 0;
  let below = 0;
  chart.days[day].amounts.map(toDrawnNumber).forEach((value, nameIndex) => {
    const start = value < 0 ? below : above;
    const end = start + value;
    if (value < 0) {
      below = end;
    } else {
      above = end;
    }
    const top = Math.min(scale.y(start), scale.y(end));
    const length = Math.abs(scale.y(start) - scale.y(end));
    if (length > 0.1) {
      const barClass = `bar ${colorClass(chart.names[nameIndex].kind, nameIndex)}`;
      group.append(svgElement("rect", {
        class: barClass, x: x + gap / 2, y: top, width: Math.max(step - gap, 0.5), height: length,
      }));
    }
  });
  svg.append(group);
  return group;
}

// Draws dates below the bars, with a distance of at least 56 pixels.
function drawDayLabels(svg, chart, step, height) {
  const every = Math.ceil(56 / step);
  chart.days.forEach((day, index) => {
    if (index % every !== 0) {
      return;
    }
    const x = MARGIN.left + (index + 0.5) * step;
    const label = svgElement("text", { x, y: height - 8, "text-anchor": "middle" });
    label.textContent = day.start.slice(5);
    svg.append(label);
  });
}

// Returns the chart's amounts as a table, for readers without the drawing. It is filled when it is opened.
function makeDayTable(chart) {
  const details = element("details");
  details.append(element("summary", "", "Amounts of each day as a table"));
  details.addEventListener("toggle", () => fillTable(details, chart), { once: true });
  return details;
}

// Fills the table of days: the sum and the amount of each name.
function fillTable(details, chart) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const title of ["Day", "Sum", ...chart.names.map(chartNameText)]) {
    const cell = element("th", title === "Day" ? "plain" : "plain number", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  chart.days.forEach((day, index) => {
    const row = body.insertRow();
    const start = element("th", "number", day.start);
    start.scope = "row";
    row.append(start, element("td", "number", formatAmount(chart.day_sums[index])));
    for (const amount of day.amounts) {
      row.append(element("td", "number", formatAmount(amount)));
    }
  });
  const scroll = element("div", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Amounts of each day in ${chart.currency}`);
  scroll.append(table);
  details.append(scroll);
}
