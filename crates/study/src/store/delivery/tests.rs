//! Prepared rows on their way to a node.

use std::{fs, sync::Arc, sync::atomic::AtomicBool, thread};

use super::*;
use crate::store::Listed;

const NAMES: [&str; 3] = ["train.safetensors", "validation.safetensors", "empty.json"];

/// A store with the files of a study in it, in pieces of ten bytes.
struct Ground {
    place: tempfile::TempDir,
    store: Store,
    digest: Digest,
}

impl Ground {
    fn new() -> Ground {
        let place = tempfile::tempdir().unwrap();
        let (shared, own) = (place.path().join("shared"), place.path().join("prepared"));
        fs::create_dir(&shared).unwrap();
        fs::create_dir(&own).unwrap();
        for (name, bytes) in NAMES.iter().zip([&train()[..], b"validation", b""]) {
            fs::write(own.join(name), bytes).unwrap();
        }
        let store = Store::open(&shared.to_str().unwrap().parse().unwrap()).unwrap();
        let digest = publish(&store, &own, &NAMES, 10).unwrap();
        Ground {
            place,
            store,
            digest,
        }
    }

    fn cache(&self, bytes_max: u64) -> NodeCache {
        NodeCache::at(&self.place.path().join("node"), bytes_max).unwrap()
    }

    fn check_fetched(&self, cache: &NodeCache) -> DataSet {
        let set = fetch(&self.store, &self.digest, cache).unwrap();
        assert_eq!(fs::read(set.path(NAMES[0])).unwrap(), train());
        assert_eq!(fs::read(set.path(NAMES[1])).unwrap(), b"validation");
        assert_eq!(fs::read(set.path(NAMES[2])).unwrap(), b"");
        set
    }

    fn remove(&self, listed: &[Listed]) {
        let names: Vec<String> = listed.iter().map(|listed| listed.name.clone()).collect();
        self.store.remove(&names).unwrap();
    }
}

/// 95 bytes: ten pieces, all different.
fn train() -> Vec<u8> {
    (0..95).collect()
}

#[test]
fn files_arrive_as_they_were_sent_and_only_once() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    let _first = ground.check_fetched(&cache);
    // Nothing is asked of the store any more.
    ground.remove(&ground.store.list().unwrap());
    let _second = ground.check_fetched(&cache);
    assert_eq!(fs::read_dir(cache.data()).unwrap().count(), 1);
    assert_eq!(
        fs::read_dir(ground.place.path().join("prepared"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn the_same_files_have_the_same_manifest() {
    let ground = Ground::new();
    let own = ground.place.path().join("prepared");
    let before = ground.store.list().unwrap().len();
    let again = publish(&ground.store, &own, &NAMES, 10).unwrap();
    assert_eq!(again, ground.digest);
    assert_eq!(ground.store.list().unwrap().len(), before);
    fs::write(own.join(NAMES[1]), b"validatioN").unwrap();
    assert_ne!(
        publish(&ground.store, &own, &NAMES, 10).unwrap(),
        ground.digest
    );
}

#[test]
fn a_fetch_that_was_broken_off_goes_on_where_it_was() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    let part = cache.data().join(format!("{}.part", ground.digest));
    // As a killed process leaves it: three pieces and a half, and a transfer that has not ended.
    fs::create_dir(&part).unwrap();
    fs::write(part.join(NAMES[0]), &train()[..35]).unwrap();
    fs::write(part.join("some.chunk.0123.part"), b"half").unwrap();
    // Those three are not asked for again: they are gone.
    for piece in train().chunks(10).take(3) {
        let name = ObjectName::new(&Digest::of(piece), Kind::Chunk);
        ground.store.remove(&[name.to_string()]).unwrap();
    }
    ground.check_fetched(&cache);
    assert!(!part.exists());
}

#[test]
fn pieces_that_a_power_cut_has_damaged_are_fetched_again() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    let part = cache.data().join(format!("{}.part", ground.digest));
    fs::create_dir(&part).unwrap();
    let mut torn = train();
    torn[12] = 0;
    fs::write(part.join(NAMES[0]), &torn[..60]).unwrap();
    ground.check_fetched(&cache);
}

#[test]
fn damage_and_loss_in_the_store_are_said_and_what_was_brought_stays() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    let fifth = ObjectName::new(&Digest::of(&train()[50..60]), Kind::Chunk);
    let path = ground.place.path().join("shared").join(fifth.to_string());
    fs::write(&path, b"0123456789").unwrap();
    let error = fetch(&ground.store, &ground.digest, &cache).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    let error = fetch(&ground.store, &ground.digest, &cache).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    let part = cache.data().join(format!("{}.part", ground.digest));
    assert_eq!(fs::read(part.join(NAMES[0])).unwrap(), &train()[..50]);
    fs::write(&path, &train()[50..60]).unwrap();
    ground.check_fetched(&cache);
}

#[test]
fn many_workers_of_one_node_fetch_data_at_once() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ground.check_fetched(&cache));
        }
    });
    assert_eq!(fs::read_dir(cache.data()).unwrap().count(), 1);
}

#[test]
fn a_worker_that_waits_for_another_can_be_stopped() {
    let ground = Ground::new();
    let cache = ground.cache(1 << 20);
    let other = cache.lock_file(&lock_name(ground.digest.as_str())).unwrap();
    other.lock_shared().unwrap();
    let store = ground
        .store
        .clone()
        .stopped_by(Arc::new(AtomicBool::new(true)));
    let error = fetch(&store, &ground.digest, &cache).unwrap_err();
    assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
}

#[test]
fn data_that_nobody_uses_make_room_for_others() {
    let ground = Ground::new();
    let cache = ground.cache(300);
    let own = ground.place.path().join("prepared");
    let first = ground.check_fetched(&cache);
    fs::write(own.join(NAMES[1]), b"other rows").unwrap();
    let other = publish(&ground.store, &own, &NAMES, 10).unwrap();
    let _second = fetch(&ground.store, &other, &cache).unwrap();
    assert!(first.path(NAMES[0]).exists(), "it is in use");
    let place = first.path(NAMES[0]);
    drop(first);
    fs::write(own.join(NAMES[1]), b"third rows").unwrap();
    let third = publish(&ground.store, &own, &NAMES, 10).unwrap();
    let _third = fetch(&ground.store, &third, &cache).unwrap();
    assert!(!place.exists(), "nobody used it");
}

#[test]
fn a_manifest_that_leads_out_of_its_folder_is_refused() {
    let ground = Ground::new();
    let own = ground.place.path();
    for name in ["../escape", "/etc/passwd", ".hidden", ""] {
        let text = format!(
            r#"{{"format":1,"chunk_bytes":10,"files":[{{"name":"{name}","bytes":0,"chunks":[]}}]}}"#
        );
        let digest = send(&ground.store, own, text.as_bytes(), Kind::Manifest).unwrap();
        let error = fetch(&ground.store, &digest, &ground.cache(1 << 20)).unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
    }
}
