//! The map file, rewritten all the while: in one step, half by half, into something that is no map, and away.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::documents::map;
use crate::random::Random;
use crate::world::World;

pub(crate) struct Generations {
    world: Arc<World>,
    file: PathBuf,
    random: Random,
}

impl Generations {
    /// With the first one written.
    pub(crate) fn new(world: Arc<World>, folder: &Path) -> Self {
        let random = Random::new(world.seed, u64::MAX);
        let mut this = Self { world, file: folder.join("names.json"), random };
        this.replace();
        this
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Until it is dropped.
    pub(crate) async fn go_on(mut self) {
        loop {
            let wait = 20 + self.random.below(150) as u64;
            tokio::time::sleep(Duration::from_millis(wait)).await;
            match self.random.below(10) {
                0 => fs::write(&self.file, "{\"key_00\": \"no name of any generation\",").unwrap(),
                1 => fs::write(&self.file, "").unwrap(),
                2 => drop(fs::remove_file(&self.file)),
                3..6 => self.in_halves().await,
                _ => self.replace(),
            }
        }
    }

    /// As it should be done.
    fn replace(&mut self) {
        let draft = self.file.with_extension("draft");
        fs::write(&draft, map(self.world.next_generation())).unwrap();
        fs::rename(draft, &self.file).unwrap();
    }

    /// As it is done: the file has half of a map for as long as it takes.
    async fn in_halves(&mut self) {
        let text = map(self.world.next_generation());
        let (first, second) = text.split_at(text.find(',').unwrap_or_default());
        let mut file = fs::File::create(&self.file).unwrap();
        file.write_all(first.as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_millis(self.random.below(60) as u64)).await;
        file.write_all(second.as_bytes()).unwrap();
    }
}
