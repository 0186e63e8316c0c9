//! The flags for labels, and a parser of words.
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_api_key_name::names::Labels;

/// The flags for labels, which the subcommands share.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LabelFlags {
    /// Name these ids too, for example project_id=project_name; may be repeated. Names of users are personal data
    #[arg(long, value_name = "ID=NAME")]
    pub label: Vec<String>,
}

impl LabelFlags {
    /// Parses the labels. The error contains the label and a remedy.
    pub fn parse(&self) -> Result<Labels, String> {
        let mut labels = Labels::default();
        for label in &self.label {
            let Some((id, name)) = label.split_once('=') else {
                return Err("--label: write ID=NAME, for example project_id=project_name".to_owned());
            };
            labels = labels.with(id, name).map_err(|e| format!("--label: {e}"))?;
        }
        Ok(labels)
    }
}

/// Returns a parser of these words.
pub fn one_of<T, const N: usize>(values: [(&'static str, T); N]) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    let words = values.each_ref().map(|(word, _)| *word);
    PossibleValuesParser::new(words).try_map(move |word| {
        let found = values.iter().find(|(known, _)| *known == word);
        found.map(|(_, value)| value.clone()).ok_or("not one of the possible values")
    })
}
