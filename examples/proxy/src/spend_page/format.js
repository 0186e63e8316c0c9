// Texts for amounts, values and dimensions. Amounts stay decimal strings, because a float lacks most of their digits.

// The label of each dimension, and the text for costs whose value is null.
export const DIMENSIONS = {
  api_key_name: { label: "Key name", nullLabel: "(no key)" },
  api_key_id: { label: "Key id", nullLabel: "(no key)" },
  project_name: { label: "Project", nullLabel: "(no project)" },
  user_name: { label: "User", nullLabel: "(no user)" },
  line_item: { label: "Line item", nullLabel: "(no line item)" },
  model: { label: "Model", nullLabel: "(no model)" },
};

const counts = new Intl.NumberFormat("en");

export function formatCount(count) {
  return counts.format(count);
}

// Returns an amount with two decimals, or with all of its digits. An amount below a cent is not shown as zero.
// The amount is a decimal string without an exponent and without zeros at the end of its fraction.
export function formatAmount(amount, isExact = false) {
  const sign = amount.startsWith("-") ? "-" : "";
  const [integer, fraction = ""] = amount.slice(sign.length).split(".");
  if (isExact) {
    return `${sign}${groupDigits(integer)}.${fraction.padEnd(2, "0")}`;
  }
  const isBelowCent = integer === "0" && /^00.*[1-9]/.test(fraction);
  if (isBelowCent) {
    return sign === "" ? "<0.01" : ">-0.01";
  }
  const cents = roundToCents(integer, fraction).padStart(3, "0");
  return `${sign}${groupDigits(cents.slice(0, -2))}.${cents.slice(-2)}`;
}

// Returns digits with a comma before each group of three.
function groupDigits(digits) {
  const groups = [];
  for (let end = digits.length; end > 0; end -= 3) {
    groups.unshift(digits.slice(Math.max(end - 3, 0), end));
  }
  return groups.join(",");
}

// Returns the digits of a number of cents, rounded half to even as in the program's table.
function roundToCents(integer, fraction) {
  const cents = BigInt(integer + fraction.slice(0, 2).padEnd(2, "0"));
  // The fraction has no zeros at its end: "5" is one half, and a text that sorts after "5" is more.
  const rest = fraction.slice(2);
  const isUp = rest > "5" || (rest === "5" && cents % 2n === 1n);
  return String(isUp ? cents + 1n : cents);
}

// Returns an amount as a float for a drawing. Its limit keeps the sum of several amounts finite.
export function toDrawnNumber(amount) {
  const limit = 1e300;
  return Math.min(Math.max(Number(amount), -limit), limit);
}

// Returns a share between 0 and 1 in percent.
export function formatShare(share) {
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(share * 100).toFixed(1)} %`;
}

// Returns the text of a name in a chart. A key may have the name "rest".
export function chartNameText(name) {
  return name.kind === "rest" ? "(rest)" : name.value;
}

// Returns the text of one value of a row.
export function valueText(value, dimension) {
  if (value.kind === "null") {
    return DIMENSIONS[dimension].nullLabel;
  }
  if (value.kind === "absent") {
    return "(not grouped)";
  }
  return value.value === "" ? "(empty)" : value.value;
}

// Creates an element. `classes` may be empty; text is never parsed as HTML.
export function element(name, classes = "", text = null) {
  const created = document.createElement(name);
  if (classes) {
    created.className = classes;
  }
  if (text !== null) {
    created.textContent = text;
  }
  return created;
}

// Creates an SVG element with attributes.
export function svgElement(name, attributes = {}) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) {
    created.setAttribute(attribute, value);
  }
  return created;
}
