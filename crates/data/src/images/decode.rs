//! From the bytes of one image file to pixels of a wanted size.
//!
//! What a file is, its content says, not its name. Its header is checked against the limits before
//! any pixel is decoded. Photographs are turned upright as their camera noted; transparency is
//! dropped; of moving images the first frame counts.

use std::{cmp::Reverse, collections::BTreeMap, io::Cursor};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, Limits,
    imageops::{self, FilterType},
    metadata::Orientation,
};

use super::is_image_start;
use crate::{limits::ReadLimits, notice::Notice, oddities::ImageFile};

/// Bytes that a decoder may hold at once, for each pixel of the largest image allowed: 16-bit
/// colour with transparency takes 8.
const DECODER_BYTES_PER_PIXEL: u64 = 8;

/// Bytes that a decoder may hold however small the pixel limit is: tables and windows of its own.
const DECODER_BYTES_MIN: u64 = 16 << 20;

/// What the header of an image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) tone: Tone,
    pub(crate) opacity: Opacity,
}

/// Whether an image has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Gray,
    Colour,
}

/// Whether an image can be seen through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opacity {
    Opaque,
    Transparent,
}

/// Height, width and channels (1 or 3).
pub(crate) type Size = (u32, u32, u32);

/// The header of an image, or nothing if the file is no image at all.
///
/// # Errors
///
/// Why an image cannot be used.
pub(crate) fn header(content: &[u8], limits: &ReadLimits) -> Result<Option<Header>, String> {
    if !is_image_start(content) {
        return Ok(None);
    }
    let mut decoder = decoder(content, limits)?;
    let (width, height) = upright(decoder.dimensions(), orientation(&mut decoder));
    let colour = decoder.color_type();
    Ok(Some(Header {
        height,
        width,
        tone: if colour.has_color() {
            Tone::Colour
        } else {
            Tone::Gray
        },
        opacity: if colour.has_alpha() {
            Opacity::Transparent
        } else {
            Opacity::Opaque
        },
    }))
}

/// The pixels of an image, resized to `size`, row by row, channels last.
///
/// # Shapes
///
/// `height * width * channels` bytes.
///
/// # Errors
///
/// Why the image cannot be used.
pub(crate) fn pixels(content: &[u8], size: Size, limits: &ReadLimits) -> Result<Vec<u8>, String> {
    let mut decoder = decoder(content, limits)?;
    let orientation = orientation(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| reason(&error))?;
    image.apply_orientation(orientation);
    let (height, width, channels) = size;
    // Resizing goes through an image of the old width and the new height.
    if u64::from(image.width()) * u64::from(height) > limits.image_pixels_max {
        let (height, width) = (image.height(), image.width());
        return Err(format!(
            "{height}x{width} pixels are too oblong to be resized"
        ));
    }
    let fits = (image.height(), image.width()) == (height, width);
    Ok(if channels == 1 {
        let gray = image.into_luma8();
        let gray = if fits {
            gray
        } else {
            imageops::resize(&gray, width, height, FilterType::Triangle)
        };
        gray.into_raw()
    } else {
        let rgb = image.into_rgb8();
        let rgb = if fits {
            rgb
        } else {
            imageops::resize(&rgb, width, height, FilterType::Triangle)
        };
        rgb.into_raw()
    })
}

/// The size that most images have, no side of it longer than `side_max`, and whether they are gray: one channel if
/// all of them are.
///
/// Of sizes that are equally frequent, it is the middle one by area: if every photograph has a size
/// of its own, neither the smallest nor the largest should decide.
pub(crate) fn common_size(headers: &[Header], side_max: u32) -> Size {
    let counts = size_counts(headers);
    let most = counts.values().max().copied().unwrap_or(0);
    let mut tied: Vec<(u32, u32)> = counts
        .into_iter()
        .filter(|(_, count)| *count == most)
        .map(|(size, _)| size)
        .collect();
    tied.sort_by_key(|(height, width)| u64::from(*height) * u64::from(*width));
    let (height, width) = tied
        .get((tied.len().max(1) - 1) / 2)
        .copied()
        .unwrap_or((1, 1));
    let (height, width) = shrunk((height, width), side_max);
    let gray = headers.iter().all(|header| header.tone == Tone::Gray);
    (height, width, if gray { 1 } else { 3 })
}

/// Height and width in the same proportion with no side longer than this, and none without a pixel.
fn shrunk((height, width): (u32, u32), side_max: u32) -> (u32, u32) {
    let longest = height.max(width);
    if longest <= side_max {
        return (height, width);
    }
    let share = f64::from(side_max) / f64::from(longest);
    let side = |pixels: u32| ((f64::from(pixels) * share).round() as u32).max(1);
    (side(height), side(width))
}

/// What a header says, for the profile.
pub(crate) fn file(header: &Header) -> ImageFile {
    ImageFile {
        height: header.height,
        width: header.width,
        channels: if header.tone == Tone::Gray { 1 } else { 3 },
    }
}

/// What is done to images so that all of them become of `size`.
pub(crate) fn conversions(headers: &[Header], size: Size, side_max: u32) -> Vec<Notice> {
    let (height, width, channels) = size;
    let mut notices = Vec::new();
    let counts = size_counts(headers);
    let kept = counts.get(&(height, width)).copied().unwrap_or(0);
    if kept < headers.len() {
        let all = headers.len();
        let limit = match kept == 0 && height.max(width) == side_max {
            true => format!(
                "; no side of what is learned from is longer than {side_max} pixels (--image-size says otherwise)"
            ),
            false => String::new(),
        };
        notices.push(Notice::note(format!(
            "resized {} of {all} images to {height}x{width} (height x width); they come as {}{limit}",
            all - kept,
            most_frequent(counts)
        )));
    }
    let gray = headers
        .iter()
        .filter(|header| header.tone == Tone::Gray)
        .count();
    let colour = headers.len() - gray;
    if channels == 1 && colour > 0 {
        notices.push(Notice::note(format!(
            "{colour} images in colour are read as gray"
        )));
    }
    if channels == 3 && gray > 0 {
        notices.push(Notice::note(format!(
            "{gray} images are gray and {colour} in colour: all are read as colour (RGB)"
        )));
    }
    let transparent = headers
        .iter()
        .filter(|header| header.opacity == Opacity::Transparent)
        .count();
    if transparent > 0 {
        let text = format!("the transparency (alpha) of {transparent} images is dropped");
        notices.push(Notice::note(text));
    }
    notices
}

fn size_counts(headers: &[Header]) -> BTreeMap<(u32, u32), usize> {
    let mut counts = BTreeMap::new();
    for header in headers {
        *counts.entry((header.height, header.width)).or_insert(0) += 1;
    }
    counts
}

/// Names the three most frequent sizes.
fn most_frequent(counts: BTreeMap<(u32, u32), usize>) -> String {
    let others = counts.len().saturating_sub(3);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let mut named: Vec<String> = counts
        .iter()
        .take(3)
        .map(|((height, width), count)| format!("{height}x{width} ({count} images)"))
        .collect();
    if others > 0 {
        named.push(format!("{others} other sizes"));
    }
    named.join(", ")
}

/// A decoder that has read the header, and found the size within the limits.
fn decoder<'a>(content: &'a [u8], limits: &ReadLimits) -> Result<impl ImageDecoder + 'a, String> {
    let mut reader = ImageReader::new(Cursor::new(content))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    let mut bounds = Limits::default();
    let decoder_bytes = limits
        .image_pixels_max
        .saturating_mul(DECODER_BYTES_PER_PIXEL);
    bounds.max_alloc = Some(decoder_bytes.max(DECODER_BYTES_MIN));
    reader.limits(bounds);
    let decoder = reader.into_decoder().map_err(|error| reason(&error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(format!("it is {height}x{width} pixels, so it has none"));
    }
    if pixels > limits.image_pixels_max {
        let limit = limits.image_pixels_max;
        return Err(format!(
            "it has {height}x{width} pixels, more than {limit} in all"
        ));
    }
    Ok(decoder)
}

fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Width and height after turning.
fn upright((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}

fn reason(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => {
            format!("{error}: PNG, JPEG, WebP, BMP and GIF can be read, convert it to one of these")
        }
        error => error.to_string(),
    }
}
