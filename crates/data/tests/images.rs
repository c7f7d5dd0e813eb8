//! Images in class folders and archives, read as a user would have them read.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its files has failed"
)]

use std::{
    fs::{self, File},
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use data::{DataError, Dataset, Images, Preprocessor, ReadLimits, Request, Severity, Source, Task};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

/// An empty folder of the test's own, under cargo's folder for the temporary files of tests.
fn place(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("images")
        .join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn put(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn gray(height: u32, width: u32, value: u8) -> Vec<u8> {
    png(GrayImage::from_pixel(width, height, Luma([value])))
}

fn red(height: u32, width: u32) -> Vec<u8> {
    png(RgbImage::from_pixel(width, height, Rgb([200, 10, 0])))
}

/// Two classes of two gray 4x3 images each, with a value of their own, under `prefix`.
fn two_classes(prefix: &str) -> Vec<(String, Vec<u8>)> {
    [
        ("cat/a.png", 1),
        ("cat/b.png", 2),
        ("dog/a.png", 3),
        ("dog/b.png", 4),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), gray(4, 3, value)))
    .to_vec()
}

fn zip_of(path: &Path, files: &[(String, Vec<u8>)]) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, content) in files {
        archive
            .start_file(name.as_str(), zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap();
}

/// A tar archive; names are written as they are, so that they can lead out.
fn tar_of(target: impl Write, files: &[(String, Vec<u8>)]) {
    let mut archive = tar::Builder::new(target);
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().flush().unwrap();
}

fn request(path: &Path) -> Request {
    Request {
        path: path.to_path_buf(),
        ..Request::default()
    }
}

fn read(path: &Path) -> Source {
    data::read(&request(path)).unwrap()
}

fn images(source: &Source) -> &Images {
    match &source.dataset {
        Dataset::Images(images) => images,
        other => panic!("images were read as {}", other.kind()),
    }
}

fn classes(source: &Source) -> Vec<&str> {
    match &source.task {
        Task::Classification { classes } => classes.iter().map(String::as_str).collect(),
        Task::Regression { .. } => panic!("classes were read as numbers"),
    }
}

/// First byte of each image.
fn values(source: &Source) -> Vec<u8> {
    let images = images(source);
    let item = images.height * images.width * images.channels;
    images
        .bytes
        .chunks_exact(item as usize)
        .map(|image| image[0])
        .collect()
}

fn warnings(source: &Source) -> String {
    let warnings = source
        .notices
        .iter()
        .filter(|notice| notice.severity == Severity::Warning);
    warnings
        .map(|notice| format!("{}\n", notice.text))
        .collect()
}

fn all_notices(source: &Source) -> String {
    source
        .notices
        .iter()
        .map(|notice| format!("{notice}\n"))
        .collect()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_folder_a_zip_a_tar_and_a_tar_gz_of_the_same_images_are_the_same_data() {
    let place = place("containers");
    let mut files = two_classes("");
    for (name, content) in &files {
        put(&place.join("folder"), name, content);
    }
    files.reverse();
    zip_of(&place.join("a.zip"), &files);
    tar_of(File::create(place.join("a.tar")).unwrap(), &files);
    let gzip = |name| {
        let file = File::create(place.join(name)).unwrap();
        flate2::write::GzEncoder::new(file, flate2::Compression::fast())
    };
    tar_of(gzip("a.tar.gz"), &files);
    tar_of(gzip("a.tgz"), &files);

    let folder = read(&place.join("folder"));
    assert_eq!(classes(&folder), ["cat", "dog"]);
    assert_eq!(values(&folder), [1, 2, 3, 4]);
    let Images {
        height,
        width,
        channels,
        ..
    } = *images(&folder);
    assert_eq!((height, width, channels), (4, 3, 1));
    assert!(folder.given_test_rows.is_empty());
    for name in ["a.zip", "a.tar", "a.tar.gz", "a.tgz"] {
        let archive = read(&place.join(name));
        assert_eq!(archive.dataset, folder.dataset, "{name}");
        assert_eq!(archive.fingerprint, folder.fingerprint, "{name}");
    }
}

#[test]
fn an_archive_is_known_by_its_content_not_by_its_name() {
    let place = place("renamed");
    zip_of(&place.join("images.bin"), &two_classes("wrapped/"));
    assert_eq!(classes(&read(&place.join("images.bin"))), ["cat", "dog"]);
}

#[test]
fn images_under_test_and_val_are_the_given_test_and_validation_rows() {
    let place = place("parts");
    let mut files = two_classes("set/train/");
    files.push(("set/VAL/dog/c.png".into(), gray(4, 3, 5)));
    files.push(("set/test/cat/a.png".into(), gray(4, 3, 6)));
    files.push(("set/test/loose.png".into(), gray(4, 3, 7)));
    zip_of(&place.join("a.zip"), &files);
    let source = read(&place.join("a.zip"));
    assert_eq!(classes(&source), ["cat", "dog"]);
    assert_eq!(source.given_validation_rows, 4..5);
    assert_eq!(source.given_test_rows, 5..6);
    assert_eq!(values(&source), [1, 2, 3, 4, 5, 6]);
    says(
        &warnings(&source),
        &["skipped 1 images that are in no class folder", "loose.png"],
    );
}

#[test]
fn photographs_are_made_smaller_and_whoever_wants_more_says_so() {
    let place = place("photographs");
    let photograph = |shade| gray(400, 300, shade);
    for (name, shade) in [("cat/a", 1), ("cat/b", 2), ("dog/a", 3), ("dog/b", 4)] {
        put(&place, &format!("{name}.png"), &photograph(shade));
    }
    let with_side = |image_side_max| {
        let limits = ReadLimits {
            image_side_max,
            ..ReadLimits::default()
        };
        let request = Request {
            path: place.to_path_buf(),
            limits,
            ..Request::default()
        };
        let source = data::read(&request).unwrap();
        let size = (images(&source).height, images(&source).width);
        (size, all_notices(&source), values(&source))
    };
    let (size, said, values) = with_side(ReadLimits::default().image_side_max);
    assert_eq!((size, values), ((128, 96), vec![1, 2, 3, 4]));
    says(
        &said,
        &[
            "resized 4 of 4 images to 128x96",
            "400x300 (4 images); no side",
            "--image-size",
        ],
    );
    let (size, said, _) = with_side(1000);
    assert_eq!(size, (400, 300));
    assert!(!said.contains("--image-size"), "{said}");
    assert_eq!(with_side(1).0, (1, 1));
}

#[test]
fn what_systems_leave_behind_is_skipped_with_one_notice() {
    let place = place("litter");
    let litter = [
        "cat/.DS_Store",
        "Thumbs.db",
        "__MACOSX/cat/._a.png",
        "README.txt",
    ];
    let mut files = two_classes("");
    files.extend(litter.map(|name| (name.to_string(), b"not an image".to_vec())));
    files.push(("more.zip".into(), b"PK\x03\x04".to_vec()));
    for (name, content) in &files {
        put(&place.join("folder"), name, content);
    }
    zip_of(&place.join("a.zip"), &files);
    for name in ["folder", "a.zip"] {
        let source = read(&place.join(name));
        assert_eq!(classes(&source), ["cat", "dog"]);
        assert_eq!(values(&source), [1, 2, 3, 4]);
        let skipped = source
            .notices
            .iter()
            .filter(|notice| notice.text.starts_with("skipped"))
            .count();
        assert_eq!(skipped, 1, "{}", all_notices(&source));
        says(&all_notices(&source), &["skipped 5 files", "2 more"]);
    }
}

#[test]
fn broken_images_are_skipped_and_the_first_is_named() {
    let place = place("broken");
    let whole = png(RgbImage::from_fn(40, 40, |x, y| {
        Rgb([x as u8, y as u8, (x * y) as u8])
    }));
    for (name, content) in two_classes("") {
        put(&place, &name, &content);
    }
    put(&place, "cat/cut.png", &whole[..whole.len() / 2]);
    put(&place, "dog/text.jpg", b"this is no picture");
    put(&place, "owl/none.png", b"");
    let source = read(&place);
    assert_eq!(values(&source), [1, 2, 3, 4]);
    assert_eq!(classes(&source), ["cat", "dog"]);
    let warnings = warnings(&source);
    says(
        &warnings,
        &["skipped 3 broken images; the first is `cat/cut.png`"],
    );
    says(&warnings, &["folder `owl` holds no image that can be used"]);
}

#[test]
fn an_image_is_known_by_its_content_not_by_its_name() {
    let place = place("misnamed");
    put(&place, "cat/a.txt", &gray(4, 3, 1));
    put(&place, "dog/b", &gray(4, 3, 2));
    assert_eq!(values(&read(&place)), [1, 2]);
}

#[test]
fn a_text_that_begins_with_two_letters_of_an_image_is_no_broken_image() {
    let place = place("letters");
    for (name, content) in two_classes("") {
        put(&place, &name, &content);
    }
    put(&place, "cat/notes.txt", b"BMI of all cats\n");
    put(&place, "dog/sizes.csv", b"P1,P2\n1,2\n");
    assert_eq!(warnings(&read(&place)), "");
}

#[test]
fn images_of_several_sizes_take_the_most_common_one() {
    let place = place("sizes");
    for (name, content) in two_classes("") {
        put(&place, &name, &content);
    }
    put(&place, "cat/large.png", &gray(9, 8, 70));
    put(&place, "dog/small.png", &gray(1, 1, 80));
    let source = read(&place);
    let read = images(&source);
    assert_eq!((read.height, read.width), (4, 3));
    assert_eq!(values(&source), [1, 2, 70, 3, 4, 80]);
    assert!(read.bytes[2 * 12..3 * 12].iter().all(|byte| *byte == 70));
    says(
        &all_notices(&source),
        &["resized 2 of 6 images to 4x3", "4x3 (4 images)", "9x8 (1"],
    );
}

#[test]
fn gray_and_coloured_images_together_become_coloured_and_transparency_is_dropped() {
    let place = place("modes");
    put(&place, "cat/gray.png", &gray(2, 2, 9));
    put(&place, "dog/red.png", &red(2, 2));
    let glass = RgbaImage::from_pixel(2, 2, Rgba([7, 8, 9, 0]));
    put(&place, "dog/seen_through.png", &png(glass));
    let source = read(&place);
    let read = images(&source);
    assert_eq!(read.channels, 3);
    let first: Vec<&[u8]> = read
        .bytes
        .chunks_exact(12)
        .map(|image| &image[..3])
        .collect();
    assert_eq!(first, [[9, 9, 9], [200, 10, 0], [7, 8, 9]]);
    let notices = all_notices(&source);
    says(
        &notices,
        &[
            "1 images are gray and 2 in colour",
            "transparency (alpha) of 1 images",
        ],
    );
}

#[test]
fn paths_that_lead_out_of_an_archive_are_refused_and_nothing_is_written() {
    let place = place("paths");
    let mut files = two_classes("");
    for name in ["../out.png", "cat/../../out.png", "/abs.png", "C:/out.png"] {
        files.push((name.into(), gray(4, 3, 99)));
    }
    zip_of(&place.join("a.zip"), &files);
    tar_of(File::create(place.join("a.tar")).unwrap(), &files);
    for name in ["a.zip", "a.tar"] {
        let source = read(&place.join(name));
        assert_eq!(values(&source), [1, 2, 3, 4]);
        says(
            &warnings(&source),
            &["skipped 4 links and unsafe paths", "leads out"],
        );
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let place = place("links");
    for (name, content) in two_classes("") {
        put(&place.join("set"), &name, &content);
    }
    put(&place, "secret/s.png", &gray(4, 3, 99));
    std::os::unix::fs::symlink(place.join("secret/s.png"), place.join("set/cat/c.png")).unwrap();
    std::os::unix::fs::symlink(place.join("secret"), place.join("set/owl")).unwrap();
    std::os::unix::fs::symlink(place.join("set"), place.join("set/dog/round")).unwrap();
    let source = read(&place.join("set"));
    assert_eq!(values(&source), [1, 2, 3, 4]);
    says(
        &warnings(&source),
        &["skipped 3 links", "`cat/c.png`: it is a link"],
    );
}

#[test]
fn nothing_usable_is_an_error_that_says_what_was_found() {
    let place = place("nothing");
    put(&place, "text/notes.txt", b"hello");
    let error = data::read(&request(&place)).unwrap_err();
    assert!(matches!(error, DataError::NothingToLearn { .. }), "{error}");
    says(&error.to_string(), &["no image", "text/notes.txt"]);

    zip_of(&place.join("flat.zip"), &[("a.png".into(), gray(2, 2, 1))]);
    let error = data::read(&request(&place.join("flat.zip"))).unwrap_err();
    says(&error.to_string(), &["1 images are in no class folders"]);
}

#[test]
fn a_cut_archive_is_an_error_that_says_so() {
    let place = place("cut");
    zip_of(&place.join("whole.zip"), &two_classes(""));
    tar_of(
        File::create(place.join("whole.tar")).unwrap(),
        &two_classes(""),
    );
    for kind in ["zip", "tar"] {
        let whole = fs::read(place.join(format!("whole.{kind}"))).unwrap();
        let cut = place.join(format!("cut.{kind}"));
        fs::write(&cut, &whole[..550]).unwrap();
        let error = data::read(&request(&cut)).unwrap_err();
        assert!(matches!(error, DataError::Malformed { .. }), "{error}");
        says(&error.to_string(), &["was it cut?"]);
    }
}

#[test]
fn every_limit_holds() {
    let place = place("limits");
    let mut files = two_classes("");
    files.push(("cat/zeros.bin".into(), vec![0; 1 << 20]));
    zip_of(&place.join("a.zip"), &files);
    let gzip = File::create(place.join("a.tgz")).unwrap();
    tar_of(
        flate2::write::GzEncoder::new(gzip, flate2::Compression::fast()),
        &files,
    );
    let normal = ReadLimits::default();
    let cases = [
        (
            ReadLimits {
                bytes_max: 100_000,
                ..normal
            },
            "unpacks to exceeds the limit of 100000",
        ),
        (
            ReadLimits {
                entries_max: 3,
                ..normal
            },
            "number of files in it exceeds the limit of 3",
        ),
        (
            ReadLimits {
                classes_max: 1,
                ..normal
            },
            "class folders (2) exceeds the limit of 1",
        ),
        (
            ReadLimits {
                image_pixels_max: 11,
                ..normal
            },
            "4x3 pixels, more than 11",
        ),
    ];
    for name in ["a.zip", "a.tgz"] {
        for (limits, message) in &cases {
            let request = Request {
                limits: *limits,
                ..request(&place.join(name))
            };
            says(&data::read(&request).unwrap_err().to_string(), &[message]);
        }
    }
}

#[test]
fn a_fitted_model_reads_new_images_from_anywhere_and_reports_the_bad_ones() {
    let place = place("predict");
    for (name, content) in two_classes("") {
        put(&place.join("set"), &name, &content);
    }
    let source = read(&place.join("set"));
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 2, 3]).unwrap();
    let new = place.join("new");
    put(&new, "a.png", &red(7, 7));
    put(&new, "b.png", b"no picture");
    put(&new, "deep/er/c.png", &gray(4, 3, 5));
    put(&new, "notes.txt", b"no picture either");
    let rows = preprocessor
        .read_rows(&new, &ReadLimits::default())
        .unwrap();
    assert_eq!(rows.row_numbers, [1, 3]);
    assert_eq!(rows.examples.len(), 2);
    assert_eq!(rows.bad.len(), 1);
    assert_eq!(rows.bad[0].row, 2);
    says(&rows.bad[0].reason, &["b.png", "no image"]);

    let single = preprocessor
        .read_rows(&new.join("a.png"), &ReadLimits::default())
        .unwrap();
    assert_eq!(single.row_numbers, [1]);
    assert!(
        preprocessor
            .read_rows(&new.join("notes.txt"), &ReadLimits::default())
            .is_err()
    );
}

#[test]
fn an_image_too_oblong_to_be_resized_in_bounded_memory_is_skipped() {
    let place = place("oblong");
    for (name, content) in two_classes("") {
        put(&place, &name, &content);
    }
    put(&place, "cat/line.png", &gray(1, 90, 99));
    let limits = ReadLimits {
        image_pixels_max: 100,
        ..ReadLimits::default()
    };
    let source = data::read(&Request {
        limits,
        ..request(&place)
    })
    .unwrap();
    assert_eq!(values(&source), [1, 2, 3, 4]);
    says(
        &warnings(&source),
        &["`cat/line.png`: 1x90 pixels are too oblong"],
    );
}

#[test]
fn a_table_can_name_the_images_and_what_is_wrong_with_one_costs_its_row() {
    let folder = place("listed");
    let mut table = String::from("picture,kind,taken\n");
    for row in 0..30_u8 {
        let class = ["light", "dark"][usize::from(row % 2)];
        let name = format!("photos/{row}.png");
        put(
            &folder,
            &name,
            &gray(4, 3, if row % 2 == 0 { 200 } else { row }),
        );
        table.push_str(&format!("./{name},{class},{row}\n"));
    }
    put(&folder, "photos/broken.png", &gray(4, 3, 1)[..40]);
    table.push_str("photos/broken.png,light,1\nphotos/none.png,dark,1\n/etc/hostname,dark,1\n");
    put(&folder, "list.csv", table.as_bytes());
    let path = folder.join("list.csv");
    let asked = Request {
        target: Some("kind".to_string()),
        ..request(&path)
    };
    let source = data::read(&asked).unwrap();
    assert_eq!(source.description, "images, 30 rows, 4x3x1, 2 classes");
    let said: Vec<String> = source.notices.iter().map(ToString::to_string).collect();
    let said = said.join("\n");
    assert!(said.contains("the images that `picture` names"), "{said}");
    assert!(said.contains("3 row(s) without an image"), "{said}");

    let rows: Vec<u32> = (0..30).collect();
    let preprocessor = Preprocessor::fit(&source, &rows).unwrap();
    let read = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    assert_eq!(read.row_numbers, (1..=30).collect::<Vec<u64>>());
    let bad: Vec<u64> = read.bad.iter().map(|bad| bad.row).collect();
    assert_eq!(bad, [31, 32, 33]);
    assert!(
        read.bad[1].reason.contains("`photos/none.png` is no image"),
        "{:?}",
        read.bad
    );
}

/// A table in a folder that names so many images, of two kinds, and behind them other rows.
fn listing(folder: &Path, name: &str, images: u8, others: &str) -> PathBuf {
    let mut table = String::from("picture,kind\n");
    for row in 0..images {
        let (picture, kind) = (format!("photos/{row}.png"), ["light", "dark"]);
        put(folder, &picture, &gray(4, 3, row));
        table.push_str(&format!("{picture},{}\n", kind[usize::from(row % 2)]));
    }
    put(folder, name, format!("{table}{others}").as_bytes());
    folder.join(name)
}

/// What is predicted of a listing.
fn kinds(path: &Path) -> Request {
    Request {
        target: Some("kind".to_string()),
        ..request(path)
    }
}

#[test]
fn of_the_folder_of_a_table_nothing_but_the_images_that_it_names_is_looked_at() {
    let folder = place("named");
    let path = listing(&folder, "list.csv", 8, "");
    for other in 0..20 {
        put(&folder, &format!("others/{other}.png"), &gray(9, 9, other));
    }
    let limits = ReadLimits {
        entries_max: 10,
        ..ReadLimits::default()
    };
    let source = data::read(&Request {
        limits,
        ..kinds(&path)
    });
    let source = source.unwrap();
    assert_eq!(values(&source), [0, 1, 2, 3, 4, 5, 6, 7]);
    let preprocessor = Preprocessor::fit(&source, &(0..8).collect::<Vec<u32>>()).unwrap();
    let rows = preprocessor.read_rows(&path, &limits).unwrap();
    assert_eq!(rows.row_numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[cfg(unix)]
#[test]
fn an_image_that_a_table_names_by_a_link_is_not_read() {
    let folder = place("named_links");
    let others = "photos/link.png,dark\nbehind/s.png,light\n../named_links_secret/s.png,dark\n";
    let path = listing(&folder, "list.csv", 20, others);
    let secret = place("named_links_secret");
    put(&secret, "s.png", &gray(4, 3, 99));
    std::os::unix::fs::symlink(secret.join("s.png"), folder.join("photos/link.png")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join("behind")).unwrap();
    let source = data::read(&kinds(&path)).unwrap();
    assert_eq!(images(&source).bytes.len(), 20 * 12);
    let rows: Vec<u32> = (0..20).collect();
    let preprocessor = Preprocessor::fit(&source, &rows).unwrap();
    let read = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    let reasons: Vec<&str> = read.bad.iter().map(|bad| bad.reason.as_str()).collect();
    let expected = [
        "`photos/link.png`: it is a link",
        "`behind/s.png`: it is a link",
        "`../named_links_secret/s.png`: its path leads out of the folder",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn a_row_without_an_image_is_named_by_its_number_in_its_own_file() {
    let folder = place("named_rows");
    // The first of the rows behind the images has no kind, so it is left out before images are read.
    let others = "photos/0.png,\nphotos/none.png,dark\n";
    let path = listing(&folder, "list.csv", 20, others);
    let said = warnings(&data::read(&kinds(&path)).unwrap());
    let expected = "1 row(s) without an image that can be used are left out, the first is row 22: `photos/none.png`";
    says(&said, &[expected]);

    let whole = listing(&folder, "whole.csv", 20, "");
    let source = data::read(&Request {
        validation: Some(path.clone()),
        ..kinds(&whole)
    });
    let source = source.unwrap();
    assert_eq!(source.given_validation_rows, 20..40);
    let expected = format!("the first is row 22 of {}:", path.display());
    says(&warnings(&source), &[&expected]);
}

#[test]
fn a_file_that_begins_as_no_image_is_not_read_to_its_end() {
    let place = place("starts");
    for (name, content) in two_classes("") {
        put(&place, &name, &content);
    }
    put(&place, "cat/notes.txt", &[b'x'; 5_000]);
    let limits = ReadLimits {
        bytes_max: 1_000,
        ..ReadLimits::default()
    };
    let source = data::read(&Request {
        limits,
        ..request(&place)
    });
    let source = source.unwrap();
    assert_eq!(values(&source), [1, 2, 3, 4]);
    // It is too large to be read, which nobody has to know.
    assert_eq!(warnings(&source), "");
    says(
        &all_notices(&source),
        &["skipped 1 files or folders that are no images"],
    );
}
