//! The query of a run: days, dimensions, periods and providers.
use tower_api_key_name::names::{LabelError, Labels, Provider};

use super::periods::{DayRange, Every};

/// A property of costs by which they are grouped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Dimension {
    KeyName,
    KeyId,
    ProjectName,
    /// Only in FOCUS files.
    ProjectId,
    /// Only in FOCUS files.
    Organization,
    /// Only in FOCUS files.
    Provider,
    UserName,
    LineItem,
    Model,
}

/// The selection of costs, and the groups and periods that they are summed by.
#[derive(Clone, Debug)]
pub struct SpendQuery {
    pub days: DayRange,
    pub every: Every,
    pub dimensions: Vec<Dimension>,
    /// Empty for the ledger of proxy keys.
    pub providers: Vec<Provider>,
}

/// The reason why a query cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SpendQueryError {
    #[error("group by one to three dimensions")]
    DimensionCount,
    #[error("the dimension {0} occurs twice")]
    Duplicate(&'static str),
    #[error("{provider} has no costs by {dimension}; leave out the dimension, or select another provider")]
    Unavailable { dimension: &'static str, provider: &'static str },
    #[error("the first day is after the last day")]
    EmptyRange,
}

impl Dimension {
    /// The dimensions that a user can group by.
    pub const SELECTABLE: [Self; 6] =
        [Self::KeyName, Self::KeyId, Self::ProjectName, Self::UserName, Self::LineItem, Self::Model];

    /// The dimensions of a FOCUS file.
    pub const FOCUS: [Self; 7] = [
        Self::Provider,
        Self::Organization,
        Self::KeyId,
        Self::KeyName,
        Self::LineItem,
        Self::ProjectId,
        Self::ProjectName,
    ];

    /// Returns the name in queries and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyName => "api_key_name",
            Self::KeyId => "api_key_id",
            Self::ProjectName => "project_name",
            Self::ProjectId => "project_id",
            Self::Organization => "organization",
            Self::Provider => "provider",
            Self::UserName => "user_name",
            Self::LineItem => "line_item",
            Self::Model => "model",
        }
    }

    /// True if the provider's costs can be grouped by the dimension.
    fn is_available(self, provider: Provider) -> bool {
        match provider {
            Provider::Anthropic => self != Self::UserName,
            _ => self != Self::Model,
        }
    }

    /// Returns the dimension of this name, or `None` if a user cannot group by it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::SELECTABLE.into_iter().find(|dimension| dimension.name() == name)
    }
}

impl SpendQuery {
    /// Creates a query. Returns an error if the range is empty, or if the dimensions are invalid for a provider.
    pub fn new(
        days: DayRange,
        every: Every,
        dimensions: Vec<Dimension>,
        providers: Vec<Provider>,
    ) -> Result<Self, SpendQueryError> {
        let query = Self { days, every, dimensions, providers };
        query.check_range_and_dimensions()?;
        for dimension in &query.dimensions {
            let lacking = query.providers.iter().find(|provider| !dimension.is_available(**provider));
            if let Some(provider) = lacking {
                let dimension = dimension.name();
                return Err(SpendQueryError::Unavailable { dimension, provider: provider.as_str() });
            }
        }
        Ok(query)
    }

    /// Creates a query of the ledger of proxy keys, which has no users. Returns an error as [`new`](Self::new) does.
    pub fn of_ledger(
        days: DayRange,
        every: Every,
        dimensions: Vec<Dimension>,
    ) -> Result<Self, SpendQueryError> {
        let query = Self { days, every, dimensions, providers: Vec::new() };
        query.check_range_and_dimensions()?;
        if query.groups_by_any(&[Dimension::UserName]) {
            let dimension = Dimension::UserName.name();
            return Err(SpendQueryError::Unavailable { dimension, provider: "the ledger" });
        }
        Ok(query)
    }

    /// Fails if the range is empty, if the number of dimensions is wrong, or if one of them occurs twice.
    fn check_range_and_dimensions(&self) -> Result<(), SpendQueryError> {
        if self.days.first > self.days.last {
            return Err(SpendQueryError::EmptyRange);
        }
        if self.dimensions.is_empty() || self.dimensions.len() > 3 {
            return Err(SpendQueryError::DimensionCount);
        }
        for (index, dimension) in self.dimensions.iter().enumerate() {
            if self.dimensions[..index].contains(dimension) {
                return Err(SpendQueryError::Duplicate(dimension.name()));
            }
        }
        Ok(())
    }

    /// Creates the query of a FOCUS file: one row for each day, key, line item and project.
    pub fn focus(days: DayRange, providers: Vec<Provider>) -> Result<Self, SpendQueryError> {
        if days.first > days.last {
            return Err(SpendQueryError::EmptyRange);
        }
        Ok(Self { days, every: Every::Day, dimensions: Dimension::FOCUS.to_vec(), providers })
    }

    /// True if a dimension of the query is a name.
    pub fn has_names(&self) -> bool {
        self.groups_by_any(&[Dimension::KeyName, Dimension::ProjectName, Dimension::UserName])
    }

    /// True if the query is one of a FOCUS file, alone or beside other dimensions.
    pub fn is_focus(&self) -> bool {
        Dimension::FOCUS.iter().all(|dimension| self.dimensions.contains(dimension))
    }

    /// True if the costs are grouped by key.
    pub fn is_by_key(&self) -> bool {
        self.groups_by_any(&[Dimension::KeyName, Dimension::KeyId])
    }

    /// True if the costs are grouped by one of these dimensions.
    pub fn groups_by_any(&self, dimensions: &[Dimension]) -> bool {
        self.dimensions.iter().any(|dimension| dimensions.contains(dimension))
    }

    /// Returns the labels whose names the query needs, besides those of keys. Anthropic's workspaces are its projects.
    pub fn labels(&self) -> Result<Labels, LabelError> {
        let mut labels = Labels::default();
        if self.groups_by_any(&[Dimension::ProjectName]) {
            labels = labels.with("project_id", "project_name")?.with("workspace_id", "workspace_name")?;
        }
        if self.groups_by_any(&[Dimension::UserName]) {
            labels = labels.with("user_id", "user_name")?;
        }
        Ok(labels)
    }
}
