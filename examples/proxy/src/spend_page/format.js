// Texts for amounts, values and dimensions. Amounts stay decimal strings: Intl formats them without a float.

// The label of each dimension, and the text for costs whose value is null.
export const DIMENSIONS = {
  api_key_name: { label: "Key name", nullLabel: "(no key)" },
  api_key_id: { label: "Key id", nullLabel: "(no key)" },
  project_name: { label: "Project", nullLabel: "(no project)" },
  user_name: { label: "User", nullLabel: "(no user)" },
  line_item: { label: "Line item", nullLabel: "(no line item)" },
  model: { label: "Model", nullLabel: "(no model)" },
};

const cents = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const allDigits = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 100 });
const counts = new Intl.NumberFormat("en");

export function formatCount(count) {
  return counts.format(count);
}

// Returns an amount with two decimals, or with all of its digits. An amount that rounds to zero is not shown as zero.
export function formatAmount(amount, isExact = false) {
  if (isExact) {
    return allDigits.format(amount);
  }
  const text = cents.format(amount);
  if (amount !== "0" && (text === "0.00" || text === "-0.00")) {
    return text === "0.00" ? "<0.01" : ">-0.01";
  }
  return text;
}

// Returns a share between 0 and 1 in percent.
export function formatShare(share) {
  return share > 0 && share < 0.0005 ? "<0.1 %" : `${(share * 100).toFixed(1)} %`;
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
