//! The names file, which is rewritten all the time: atomically, in two steps, with invalid content, or by removal.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::documents::map;
use crate::fixtures::Fixtures;
use crate::random::Random;

pub(crate) struct NamesFile {
    fixtures: Arc<Fixtures>,
    file: PathBuf,
    random: Random,
}

impl NamesFile {
    /// Writes the first generation.
    pub(crate) fn new(fixtures: Arc<Fixtures>, folder: &Path) -> Self {
        let random = Random::new(fixtures.seed, u64::MAX);
        let mut this = Self { fixtures, file: folder.join("names.json"), random };
        this.replace();
        this
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Rewrites the file until the future is dropped.
    pub(crate) async fn rewrite_until_dropped(mut self) {
        loop {
            let wait = 20 + self.random.below(150) as u64;
            tokio::time::sleep(Duration::from_millis(wait)).await;
            match self.random.below(10) {
                0 => fs::write(&self.file, "{\"key_00\": \"no name of any generation\",").unwrap(),
                1 => fs::write(&self.file, "").unwrap(),
                2 => drop(fs::remove_file(&self.file)),
                3..6 => self.write_in_two_steps().await,
                _ => self.replace(),
            }
        }
    }

    /// Replaces the file atomically.
    fn replace(&mut self) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, map(self.fixtures.next_generation())).unwrap();
        fs::rename(draft, &self.file).unwrap();
    }

    /// Writes the file in two steps, with half of the content in between.
    async fn write_in_two_steps(&mut self) {
        let text = map(self.fixtures.next_generation());
        let (first, second) = text.split_at(text.find(',').unwrap_or_default());
        let mut file = fs::File::create(&self.file).unwrap();
        file.write_all(first.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis(self.random.below(60) as u64)).await;
        file.write_all(second.as_bytes()).unwrap();
    }
}
