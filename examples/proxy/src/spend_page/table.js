// The table of names, which a user can sort and search. It is drawn in steps, because there may be 12,000 rows.
import { DIMENSIONS, element, formatAmount, formatCount, formatShare, svgElement, valueText } from "./spend-format.js";

// The number of rows that are drawn at first, and for each click on "Show more".
const STEP = 200;

export class NameTable {
  constructor() {
    this.table = document.getElementById("table");
    this.search = document.getElementById("search");
    this.exactCheckbox = document.getElementById("exact");
    this.status = document.getElementById("shown");
    this.more = document.getElementById("more");
    this.search.addEventListener("input", () => this.updateRows());
    this.exactCheckbox.addEventListener("change", () => this.draw());
    this.more.addEventListener("click", () => this.showMore());
  }

  // Shows a result. Its rows are sorted by amount, as the table is at first.
  show(result) {
    this.result = result;
    this.columns = makeColumns(result);
    this.rows = result.rows.map((row, rank) => {
      const texts = row.values.map((value, index) => valueText(value, result.by[index]));
      return { ...row, rank, texts, searched: texts.join("\n").toLowerCase() };
    });
    this.search.value = "";
    this.sort = { column: this.columns.find((column) => column.id === "amount"), isDescending: true };
    this.drawHeader();
    this.updateRows();
  }

  // Draws a header cell for each column, with a button that sorts by it.
  drawHeader() {
    const row = element("tr");
    this.columns.forEach((column) => {
      const cell = element("th", column.isNumber ? "number" : "");
      cell.scope = "col";
      const button = element("button", "", column.label);
      button.type = "button";
      const arrow = element("span", "", "");
      arrow.setAttribute("aria-hidden", "true");
      button.append(arrow);
      button.addEventListener("click", () => this.sortBy(column));
      cell.append(button);
      row.append(cell);
      column.cell = cell;
      column.arrow = arrow;
    });
    this.table.tHead.replaceChildren(row);
    this.markOrder();
  }

  // Sorts by a column; a second click reverses the order.
  sortBy(column) {
    const isSame = this.sort.column === column;
    this.sort = { column, isDescending: isSame ? !this.sort.isDescending : column.isNumber };
    this.markOrder();
    this.updateRows();
  }

  // Marks the sorted column with an arrow, and for screen readers.
  markOrder() {
    for (const column of this.columns) {
      const isSorted = column === this.sort.column;
      column.arrow.textContent = isSorted ? (this.sort.isDescending ? " ↓" : " ↑") : "";
      if (isSorted) {
        column.cell.setAttribute("aria-sort", this.sort.isDescending ? "descending" : "ascending");
      } else {
        column.cell.removeAttribute("aria-sort");
      }
    }
  }

  // Filters the rows by the searched text, sorts them, and draws the first ones.
  updateRows() {
    const text = this.search.value.trim().toLowerCase();
    const { column, isDescending } = this.sort;
    const direction = isDescending ? -1 : 1;
    this.selected = this.rows.filter((row) => row.searched.includes(text));
    this.selected.sort((left, right) => direction * column.compare(left, right) || left.rank - right.rank);
    this.limit = STEP;
    this.draw();
  }

  // Draws the rows up to the limit, and the totals.
  draw() {
    const drawn = this.selected.slice(0, this.limit);
    this.table.tBodies[0].replaceChildren(...drawn.map((row) => this.makeRow(row)));
    this.updateStatus(drawn.length);
    this.drawTotals();
  }

  // Draws the next rows below those that are shown.
  showMore() {
    const added = this.selected.slice(this.limit, this.limit + STEP);
    this.limit += STEP;
    const elements = added.map((row) => this.makeRow(row));
    this.table.tBodies[0].append(...elements);
    this.updateStatus(Math.min(this.limit, this.selected.length));
    if (this.more.hidden) {
      this.table.parentElement.focus();
    }
  }

  // Shows how many rows are drawn and found. Hides the button if there are no more.
  updateStatus(drawnCount) {
    const selectedCount = this.selected.length;
    const all = this.rows.length;
    const found = selectedCount === all ? "" : ` (${formatCount(selectedCount)} of ${formatCount(all)} match)`;
    this.status.textContent = selectedCount === 0 && all > 0
      ? "No name matches the search."
      : `${formatCount(drawnCount)} of ${formatCount(selectedCount)} rows${found}`;
    this.more.hidden = drawnCount >= selectedCount;
  }

  makeRow(row) {
    const created = element("tr");
    for (const column of this.columns) {
      created.append(column.makeCell(row, this.exactCheckbox.checked));
    }
    return created;
  }

  // Draws the sum of each currency below the table.
  drawTotals() {
    const rows = this.result.totals.map((total) => {
      const row = element("tr");
      const label = element("th", "", this.result.missing.length === 0 ? "Total" : "Incomplete sum");
      label.scope = "row";
      label.colSpan = this.columns.findIndex((column) => column.id === "amount");
      row.append(label, element("td", "number", formatAmount(total.amount, this.exactCheckbox.checked)));
      row.append(element("td", "", total.currency), element("td"));
      return row;
    });
    this.table.tFoot.replaceChildren(...rows);
  }
}

// Returns the columns of a result: its dimensions, the number of keys, and the amounts.
// `compare` compares two rows, and `makeCell` creates the cell of a row.
function makeColumns(result) {
  const columns = result.by.map((dimension, index) => ({
    id: dimension,
    label: DIMENSIONS[dimension].label,
    compare: (left, right) => compareTexts(left.texts[index], right.texts[index]),
    makeCell: (row) => makeValueCell(row.values[index], row.texts[index]),
  }));
  if (result.rows.some((row) => row.keys !== null)) {
    columns.push({
      id: "keys",
      label: "Keys",
      isNumber: true,
      compare: (left, right) => left.keys - right.keys,
      makeCell: (row) => element("td", "number", row.keys === null ? "" : formatCount(row.keys)),
    });
  }
  columns.push({
    id: "amount",
    label: "Amount",
    isNumber: true,
    // The largest amount has the lowest rank.
    compare: (left, right) => right.rank - left.rank,
    makeCell: (row, isExact) => element("td", "number", formatAmount(row.amount, isExact)),
  }, {
    id: "currency",
    label: "Currency",
    compare: (left, right) => compareTexts(left.currency, right.currency),
    makeCell: (row) => element("td", "", row.currency),
  }, {
    id: "share",
    label: "Share",
    isNumber: true,
    compare: (left, right) => left.share - right.share,
    makeCell: makeShareCell,
  });
  return columns;
}

const collator = new Intl.Collator("en", { numeric: true });

function compareTexts(left, right) {
  return collator.compare(left, right);
}

// Creates the cell of a dimension. Its class marks an id without a name, and an absent value.
function makeValueCell(value, text) {
  const kinds = { unnamed: "value id", null: "value none", absent: "value none" };
  const cell = element("td", kinds[value.kind] ?? "value", text);
  cell.dir = "auto";
  if (value.kind === "unnamed") {
    cell.title = "An id without a name";
  }
  return cell;
}

// Creates the cell with the share as a bar and in percent.
function makeShareCell(row) {
  const cell = element("td", "number share-cell");
  const share = element("span", "share");
  const svg = svgElement("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(svgElement("rect", { class: "share-back", width: 100, height: 8 }));
  svg.append(svgElement("rect", { class: "share-bar", width: row.share * 100, height: 8 }));
  share.append(svg, element("span", "percent", formatShare(row.share)));
  cell.append(share);
  return cell;
}
