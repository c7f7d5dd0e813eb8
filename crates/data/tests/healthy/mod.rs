//! A healthy file of each format that is read, made here or written by others.

use std::{
    fmt::Write as _,
    io::{Cursor, Write as _},
};

use data::StepColumns;
use flate2::{Compression, write::GzEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage, codecs::png::PngEncoder};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::npy::{npy, npy_of_words};

/// A healthy file of each format, by its name.
pub(crate) fn healthy() -> Vec<(&'static str, Vec<u8>)> {
    let mut csv = String::from("size,kind,\"a, b\",label\n");
    let mut tsv = String::new();
    let mut arff = String::from("@relation r\n@attribute a real\n@attribute c {x,'y z'}\n@data\n");
    let mut ts = String::from("@classLabel true up down\n@equalLength false\n@data\n");
    let mut lines = String::new();
    for row in 0..24 {
        let (kind, label) = [("x", "up"), ("y z", "down")][row % 2];
        writeln!(csv, "{}.5,{kind},\"1,{row}\",{label}", row * 7 % 11).unwrap();
        writeln!(tsv, "{label}\tsome words and number {row} of many").unwrap();
        writeln!(arff, "{},'{kind}'", row * 3 % 7).unwrap();
        writeln!(ts, "1,2,{row},?:{label}").unwrap();
        writeln!(
            lines,
            "{{\"x\": {row}, \"kind\": \"{kind}\", \"label\": \"{label}\"}}"
        )
        .unwrap();
    }
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    let gzipped = gzip(csv.as_bytes());
    vec![
        ("a.csv", csv.into_bytes()),
        ("a.tsv", tsv.into_bytes()),
        ("a.arff", arff.into_bytes()),
        ("a.ts", ts.into_bytes()),
        ("a.jsonl", lines.into_bytes()),
        ("a.json", array.into_bytes()),
        ("b.csv.gz", gzipped),
        ("long.csv", long().into_bytes()),
        ("a.npz", npz()),
        ("words.npz", words_npz()),
        ("a-images-idx3-ubyte", idx()),
        ("a.zip", pictures()),
        ("a.tgz", gzip(&photographs())),
        ("a.tar", photographs()),
        (
            "same.parquet",
            include_bytes!("../arrow/same.parquet").to_vec(),
        ),
        (
            "plain.arrow",
            include_bytes!("../arrow/plain.arrow").to_vec(),
        ),
        ("zstd.arrow", include_bytes!("../arrow/zstd.arrow").to_vec()),
        (
            "lz4.feather",
            include_bytes!("../arrow/lz4.feather").to_vec(),
        ),
        (
            "stream.arrows",
            include_bytes!("../arrow/stream.arrows").to_vec(),
        ),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A row for each step of a series.
fn long() -> String {
    let mut text = String::from("who,when,x,y,label\n");
    for row in 0..48 {
        let (who, label) = (row / 4, ["up", "down"][row / 4 % 2]);
        let day = row % 4 + 1;
        writeln!(
            text,
            "p{who},2024-01-0{day},{}.5,{row},{label}",
            row * 7 % 11
        )
        .unwrap();
    }
    text
}

/// What says which rows of a file are the steps of a series, if they are.
pub(crate) fn steps_of(name: &str) -> Option<StepColumns> {
    name.starts_with("long").then(|| StepColumns {
        id: "who".to_string(),
        time: Some("when".to_string()),
    })
}

/// Arrays of 24 rows, stored without compression, so that changes reach them.
fn npz() -> Vec<u8> {
    let targets: Vec<f64> = (0..24).map(|row| f64::from(row % 2)).collect();
    npz_with(&npy(&[24], &targets))
}

fn words_npz() -> Vec<u8> {
    let words: Vec<&str> = (0..24).map(|row| ["up", "down"][row % 2]).collect();
    npz_with(&npy_of_words(&words))
}

fn npz_with(targets: &[u8]) -> Vec<u8> {
    let inputs: Vec<f64> = (0..72).map(|value| f64::from(value * 5 % 13)).collect();
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("X.npy", npy(&[24, 3], &inputs)),
        ("y.npy", targets.to_vec()),
    ] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn idx() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    [24_u32, 4, 4]
        .iter()
        .for_each(|extent| bytes.extend(extent.to_be_bytes()));
    bytes.extend((0..24 * 16).map(|value| value as u8));
    bytes
}

/// What stands beside the images of IDX.
pub(crate) fn idx_labels() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, 24];
    bytes.extend((0..24).map(|row| row % 2));
    bytes
}

fn pictures() -> Vec<u8> {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for row in 0..24_u8 {
        let pixels: Vec<u8> = (0..25).map(|pixel| pixel * (row % 9)).collect();
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&pixels, 5, 5, ExtendedColorType::L8)
            .unwrap();
        zip.start_file(
            format!("{}/{row}.png", ["up", "down"][usize::from(row % 2)]),
            stored,
        )
        .unwrap();
        zip.write_all(&png).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Images of every format that is read, beside PNG.
fn photographs() -> Vec<u8> {
    let formats = [
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Bmp, "bmp"),
        (ImageFormat::Gif, "gif"),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for row in 0..24_u8 {
        let (format, end) = formats[usize::from(row % 4)];
        let shade = |x: u32, y: u32| Rgb([row * 9, (x * 40) as u8, (y * 40) as u8]);
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(6, 6, shade)
            .write_to(&mut bytes, format)
            .unwrap();
        let bytes = bytes.into_inner();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let class = ["up", "down"][usize::from(row / 4 % 2)];
        archive
            .append_data(&mut header, format!("{class}/{row}.{end}"), &bytes[..])
            .unwrap();
    }
    archive.into_inner().unwrap()
}
