//! A store that is a directory, and a node's cache in front of it.

use std::{
    fs,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use super::*;

fn patience() -> Patience {
    Patience {
        attempts: 2,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1),
    }
}

/// A store, a cache of so many bytes, and where they lie.
struct Ground {
    place: tempfile::TempDir,
    store: Store,
    cache: NodeCache,
}

impl Ground {
    fn new(bytes_max: u64) -> Ground {
        let place = tempfile::tempdir().unwrap();
        let shared = place.path().join("shared");
        fs::create_dir(&shared).unwrap();
        let address = shared.to_str().unwrap().parse().unwrap();
        Ground {
            store: Store::open(&address).unwrap().with_patience(patience()),
            cache: NodeCache::at(&place.path().join("node"), bytes_max).unwrap(),
            place,
        }
    }

    fn weights(&self) -> NodeWeights {
        NodeWeights::Cached(self.cache.clone(), self.store.clone())
    }

    /// What a trainer leaves in the cache.
    fn trained(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let name = ObjectName::weights(&digest).to_string();
        fs::write(self.cache.weights().join(name), bytes).unwrap();
        digest
    }

    fn published(&self, bytes: &[u8]) -> Digest {
        let digest = self.trained(bytes);
        self.weights().publish(&digest).unwrap();
        digest
    }

    fn is_cached(&self, digest: &Digest) -> bool {
        let name = ObjectName::weights(digest).to_string();
        self.cache.weights().join(name).exists()
    }

    fn shared(&self, digest: &Digest) -> PathBuf {
        let name = ObjectName::weights(digest).to_string();
        self.place.path().join("shared").join(name)
    }
}

fn make_older(path: &Path, hours: u64) {
    let file = fs::OpenOptions::new().append(true).open(path).unwrap();
    let at = SystemTime::now() - Duration::from_secs(hours * 3_600);
    file.set_modified(at).unwrap();
}

#[test]
fn what_was_put_is_listed_got_and_removed() {
    let ground = Ground::new(1 << 20);
    let file = ground.place.path().join("file");
    fs::write(&file, b"weights").unwrap();
    let name = ObjectName::weights(&Digest::of(b"weights"));
    let store = &ground.store;
    assert!(!store.has(&name).unwrap());
    assert_eq!(store.put(&name, &file).unwrap(), Stored::Sent);
    assert_eq!(store.put(&name, &file).unwrap(), Stored::There);
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), listed[0].bytes), (1, 7));
    assert_eq!(listed[0].object(), Some(name.clone()));
    let copy = ground.place.path().join("copy");
    assert_eq!(store.get(&name, &copy).unwrap(), 7);
    assert_eq!(fs::read(&copy).unwrap(), b"weights");
    let names = [name.to_string(), "never.there".to_string()];
    store.remove(&names).unwrap();
    let error = store.get(&name, &copy).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_not_sent() {
    let ground = Ground::new(1 << 20);
    let file = ground.place.path().join("file");
    fs::write(&file, b"weighty").unwrap();
    let name = ObjectName::weights(&Digest::of(b"weights"));
    let error = ground.store.put(&name, &file).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(ground.store.list().unwrap().is_empty());
}

#[test]
fn a_damaged_or_truncated_object_is_refused_and_a_truncated_one_is_replaced() {
    let ground = Ground::new(1 << 20);
    let digest = ground.published(b"weights");
    let name = ObjectName::weights(&digest);
    let copy = ground.place.path().join("copy");
    for damage in [&b"weighty"[..], b"weigh", b""] {
        fs::write(ground.shared(&digest), damage).unwrap();
        let error = ground.store.get(&name, &copy).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("shared"), "{error}");
    }
    assert!(!copy.exists());
    ground.weights().publish(&digest).unwrap();
    ground.store.get(&name, &copy).unwrap();
}

#[test]
fn what_a_dead_writer_left_is_no_object_but_is_listed_to_be_collected() {
    let ground = Ground::new(1 << 20);
    let digest = Digest::of(b"weights");
    let part = unfinished(&ground.shared(&digest));
    fs::write(&part, b"wei").unwrap();
    assert!(!ground.store.has(&ObjectName::weights(&digest)).unwrap());
    let listed = ground.store.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].object(), None);
    ground.published(b"weights");
    assert_eq!(ground.store.list().unwrap().len(), 2);
}

#[test]
fn an_old_object_that_is_put_again_is_young_again() {
    let ground = Ground::new(1 << 20);
    let digest = ground.published(b"weights");
    make_older(&ground.shared(&digest), 100);
    assert!(ground.store.list().unwrap()[0].age_seconds > 350_000.0);
    ground.weights().publish(&digest).unwrap();
    assert!(ground.store.list().unwrap()[0].age_seconds < 1_000.0);
}

#[test]
fn a_store_that_is_not_mounted_is_not_made() {
    let place = tempfile::tempdir().unwrap();
    let absent = place.path().join("absent");
    let address = absent.to_str().unwrap().parse().unwrap();
    let error = Store::open(&address).unwrap_err();
    assert!(matches!(error, StoreError::NoDirectory { .. }), "{error}");
    assert!(!absent.exists());
}

#[test]
fn stores_within_a_store_do_not_see_each_other() {
    let ground = Ground::new(1 << 20);
    let own = ground.store.within("study-1").unwrap();
    let file = ground.place.path().join("file");
    fs::write(&file, b"weights").unwrap();
    let name = ObjectName::weights(&Digest::of(b"weights"));
    own.put(&name, &file).unwrap();
    assert!(ground.store.list().unwrap().is_empty());
    assert!(!ground.store.within("study-2").unwrap().has(&name).unwrap());
    assert!(ground.store.within("../study-1").is_err());
}

#[test]
fn a_node_gives_and_takes_weights_through_the_store() {
    let first = Ground::new(1 << 20);
    let digest = first.published(b"weights");
    let node = first.place.path().join("second");
    let second = NodeCache::at(&node, 1 << 20).unwrap();
    let weights = NodeWeights::Cached(second.clone(), first.store.clone());
    let _in_use = weights.provide(&digest).unwrap();
    let own = crate::artifact::ArtifactStore::at(&weights.directory());
    assert_eq!(own.get(&digest).unwrap(), b"weights");
    let unknown = Digest::of(b"unknown");
    let error = weights.provide(&unknown).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert_eq!(second.list().unwrap().len(), 1);
}

#[test]
fn a_damaged_copy_is_fetched_again() {
    let ground = Ground::new(1 << 20);
    let digest = ground.published(b"weights");
    let path = ground.cache.weights().join(format!("{digest}.safetensors"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"weighty").unwrap();
    let _in_use = ground.weights().provide(&digest).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"weights");
}

#[test]
fn the_least_recently_used_go_first_and_those_in_use_or_unpublished_never() {
    let ground = Ground::new(250);
    let in_use = ground.published(&[1; 100]);
    let held = ground.weights().provide(&in_use).unwrap();
    let unpublished = ground.trained(&[2; 100]);
    let path = |digest: &Digest| ground.cache.weights().join(format!("{digest}.safetensors"));
    // The two that may not go are the oldest.
    for digest in [&in_use, &unpublished] {
        let file = fs::File::open(path(digest)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let third = ground.published(&[3; 40]);
    assert!(ground.is_cached(&third));
    let fourth = ground.published(&[4; 40]);
    assert!(!ground.is_cached(&third), "it was used least recently");
    assert!(ground.is_cached(&in_use) && ground.is_cached(&unpublished));
    assert!(ground.cache.bytes().unwrap() <= 250);
    drop(held);
    let fifth = ground.published(&[5; 60]);
    assert!(!ground.is_cached(&in_use) && ground.is_cached(&unpublished));
    assert!(ground.is_cached(&fourth) && ground.is_cached(&fifth));
    // What went can come back.
    let _back = ground.weights().provide(&in_use).unwrap();
    assert!(ground.is_cached(&in_use));
}

#[test]
fn many_workers_of_one_node_fetch_weights_at_once() {
    let ground = Ground::new(1 << 20);
    let digest = ground.published(&[7; 100_000]);
    let path = ground.cache.weights().join(format!("{digest}.safetensors"));
    fs::remove_file(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ground.weights().provide(&digest).unwrap());
        }
    });
    assert_eq!(ground.cache.list().unwrap().len(), 1);
    assert_eq!(fs::read(&path).unwrap(), [7; 100_000]);
}

#[test]
fn on_one_machine_nothing_is_copied() {
    let place = tempfile::tempdir().unwrap();
    let own = crate::artifact::ArtifactStore::at(place.path());
    let weights = NodeWeights::InPlace(place.path().to_path_buf());
    let digest = own.put(b"weights").unwrap();
    weights.publish(&digest).unwrap();
    weights.provide(&digest).unwrap();
    assert!(weights.publish(&Digest::of(b"other")).is_err());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn files_that_were_begun_days_ago_leave_the_cache() {
    let ground = Ground::new(1 << 20);
    let weights = ground.cache.weights();
    let digest = Digest::of(b"weights");
    let old = weights.join(format!("{digest}.1.part"));
    let young = weights.join(format!("{digest}.2.part"));
    fs::write(&old, b"w").unwrap();
    fs::write(&young, b"w").unwrap();
    make_older(&old, 25);
    NodeCache::at(&ground.place.path().join("node"), 1).unwrap();
    assert!(!old.exists() && young.exists());
}

#[test]
fn a_store_that_fails_is_asked_again_and_then_said_to_fail() {
    let ground = Ground::new(1 << 20);
    let mut asked = 0;
    let failed = ground.store.patiently::<()>("asking", || {
        asked += 1;
        Err(Trouble::Passing("the cable is out".to_string()))
    });
    assert_eq!(asked, 2);
    let error = failed.unwrap_err().to_string();
    assert!(error.starts_with("asking the store "), "{error}");
    assert!(
        error.ends_with("failed 2 time(s), at last because the cable is out"),
        "{error}"
    );
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = ground
        .store
        .clone()
        .stopped_by(stop)
        .patiently::<()>("asking", || {
            Err(Trouble::Passing("the cable is out".to_string()))
        });
    assert!(matches!(stopped, Err(StoreError::Stopped { .. })));
}
