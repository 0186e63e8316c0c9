//! A report in FOCUS 1.0, the FinOps Open Cost and Usage Specification: <https://focus.finops.org>.
//!
//! FOCUS files are read by machines, which need the exact names. A text that a spreadsheet would run as a formula is not
//! changed here.
use std::borrow::Cow;
use std::io::{self, Write};

use jiff::civil::Date;

use crate::spend::amount::Amount;
use crate::spend::periods::{Every, next_day};
use crate::spend::query::Dimension;
use crate::spend::report::{SpendReport, SpendRow};
use crate::spend::row::GroupValue;

/// The content of a column in a row.
#[derive(Clone, Copy)]
enum FocusCell {
    Empty,
    Fixed(&'static str),
    Cost,
    Currency,
    /// The organization, or the provider if the organization is unknown.
    BillingAccountId,
    MonthStart,
    MonthEnd,
    DayStart,
    DayEnd,
    LineItem,
    Provider,
    Service,
    KeyId,
    /// Empty if the key has no name.
    KeyName,
    KeyType,
    ProjectId,
    ProjectName,
    /// The properties of a row whose cost is not final.
    Tags,
}

const COLUMNS: [(&str, FocusCell); 43] = [
    ("AvailabilityZone", FocusCell::Empty),
    ("BilledCost", FocusCell::Cost),
    ("BillingAccountId", FocusCell::BillingAccountId),
    ("BillingAccountName", FocusCell::Empty),
    ("BillingCurrency", FocusCell::Currency),
    ("BillingPeriodEnd", FocusCell::MonthEnd),
    ("BillingPeriodStart", FocusCell::MonthStart),
    ("ChargeCategory", FocusCell::Fixed("Usage")),
    ("ChargeClass", FocusCell::Empty),
    ("ChargeDescription", FocusCell::LineItem),
    ("ChargeFrequency", FocusCell::Fixed("Usage-Based")),
    ("ChargePeriodEnd", FocusCell::DayEnd),
    ("ChargePeriodStart", FocusCell::DayStart),
    ("CommitmentDiscountCategory", FocusCell::Empty),
    ("CommitmentDiscountId", FocusCell::Empty),
    ("CommitmentDiscountName", FocusCell::Empty),
    ("CommitmentDiscountStatus", FocusCell::Empty),
    ("CommitmentDiscountType", FocusCell::Empty),
    ("ConsumedQuantity", FocusCell::Empty),
    ("ConsumedUnit", FocusCell::Empty),
    ("ContractedCost", FocusCell::Cost),
    ("ContractedUnitPrice", FocusCell::Empty),
    ("EffectiveCost", FocusCell::Cost),
    ("InvoiceIssuerName", FocusCell::Provider),
    ("ListCost", FocusCell::Cost),
    ("ListUnitPrice", FocusCell::Empty),
    ("PricingCategory", FocusCell::Fixed("Standard")),
    ("PricingQuantity", FocusCell::Empty),
    ("PricingUnit", FocusCell::Empty),
    ("ProviderName", FocusCell::Provider),
    ("PublisherName", FocusCell::Provider),
    ("RegionId", FocusCell::Empty),
    ("RegionName", FocusCell::Empty),
    ("ResourceId", FocusCell::KeyId),
    ("ResourceName", FocusCell::KeyName),
    ("ResourceType", FocusCell::KeyType),
    ("ServiceCategory", FocusCell::Fixed("AI and Machine Learning")),
    ("ServiceName", FocusCell::Service),
    ("SkuId", FocusCell::Empty),
    ("SkuPriceId", FocusCell::Empty),
    ("SubAccountId", FocusCell::ProjectId),
    ("SubAccountName", FocusCell::ProjectName),
    ("Tags", FocusCell::Tags),
];

/// The values of a row. A text is empty if its value is null or absent, and if it is a name that is unknown.
struct FocusRow<'a> {
    day: Date,
    cost: String,
    currency: &'a str,
    provider: &'a str,
    organization: &'a str,
    key_id: &'a str,
    key_name: &'a str,
    line_item: &'a str,
    project_id: &'a str,
    project_name: &'a str,
    tags: &'a str,
}

/// Writes a header and one line for each row. The error kind is `InvalidInput` if the query is not one of FOCUS.
pub(super) fn write(report: &SpendReport, out: &mut impl Write) -> io::Result<()> {
    let is_focus_query = report.query.dimensions == Dimension::FOCUS && report.query.every == Every::Day;
    if !is_focus_query {
        let message = "FOCUS needs one row for each day, key, line item and project";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS.map(|(name, _)| name))?;
    for spend_row in report.rows() {
        let row = FocusRow::new(&spend_row, report.has_all_costs());
        for (_, cell) in COLUMNS {
            writer.write_field(row.text(cell).as_ref())?;
        }
        // Ends the line.
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

impl<'a> FocusRow<'a> {
    /// Converts a row whose dimensions are [`Dimension::FOCUS`].
    fn new(row: &SpendRow<'a>, has_all_costs: bool) -> Self {
        let mut texts = [""; Dimension::FOCUS.len()];
        for (text, value) in texts.iter_mut().zip(&row.values) {
            if let GroupValue::Text(present) = value {
                *text = present;
            }
        }
        // The order of `Dimension::FOCUS`.
        let [provider, organization, key_id, key_name, line_item, project_id, project_name] = texts;
        Self {
            day: row.period.first,
            cost: cost_cell(row.amount),
            currency: row.currency,
            provider,
            organization,
            key_id,
            key_name,
            line_item,
            project_id,
            project_name,
            tags: tags(row.is_provisional, has_all_costs),
        }
    }

    /// Returns the text of a column.
    fn text(&self, cell: FocusCell) -> Cow<'_, str> {
        let text = match cell {
            FocusCell::MonthStart => return midnight(self.day.first_of_month()),
            FocusCell::MonthEnd => return midnight(next_day(self.day.last_of_month())),
            FocusCell::DayStart => return midnight(self.day),
            FocusCell::DayEnd => return midnight(next_day(self.day)),
            FocusCell::Service => return Cow::Owned(format!("{} API", self.provider)),
            FocusCell::BillingAccountId if self.organization.is_empty() => self.provider,
            FocusCell::BillingAccountId => self.organization,
            FocusCell::KeyType if self.key_id.is_empty() => "",
            FocusCell::KeyType => "API key",
            FocusCell::Empty => "",
            FocusCell::Fixed(text) => text,
            FocusCell::Cost => &self.cost,
            FocusCell::Currency => self.currency,
            FocusCell::Provider => self.provider,
            FocusCell::LineItem => self.line_item,
            FocusCell::KeyId => self.key_id,
            FocusCell::KeyName => self.key_name,
            FocusCell::ProjectId => self.project_id,
            FocusCell::ProjectName => self.project_name,
            FocusCell::Tags => self.tags,
        };
        Cow::Borrowed(text)
    }
}

/// Returns the tags of a row. A file without all costs has a tag on each row, because FOCUS has no place for it.
fn tags(is_provisional: bool, has_all_costs: bool) -> &'static str {
    match (is_provisional, has_all_costs) {
        (false, true) => "{}",
        (true, true) => r#"{"provisional":"true"}"#,
        (false, false) => r#"{"incomplete":"true"}"#,
        (true, false) => r#"{"incomplete":"true","provisional":"true"}"#,
    }
}

/// Returns an amount with all digits and at least one decimal.
fn cost_cell(amount: &Amount) -> String {
    let mut cost = amount.to_string();
    if !cost.contains('.') {
        // FOCUS's validator rejects a file whose costs are all integers: it reads the column as integers.
        cost.push_str(".0");
    }
    cost
}

/// Returns the start of a day. The end of a period in FOCUS is the start of the next one.
fn midnight(day: Date) -> Cow<'static, str> {
    Cow::Owned(format!("{day}T00:00:00Z"))
}
