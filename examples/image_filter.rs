//! An image, filtered by all workers in memory that they share, and written as a PNG.
//!
//! ```sh
//! cargo run --release --example image_filter -- picture.png
//! ```
//!
//! The left half of what is written is as it was drawn, the right half is blurred. Without an argument it goes into
//! the folder for temporary files.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use procession::ProcessPoolExecutor;
use procession::shared::{Array, OutOfRange};

const WIDTH: usize = 960;
const HEIGHT: usize = 640;
/// How far the filter looks to each side.
const RADIUS: usize = 6;
/// How many rows one task filters.
const ROWS: usize = 16;

type Pixel = [u8; 3];

/// Blurs some rows of one image into another, and says which process has done it.
///
/// Both are handles to shared memory: the image does not travel. The rows around these are needed to read, and others write
/// only to other rows, so nobody needs the arrays' locks.
#[procession::task]
fn blur(from: Array<Pixel>, to: Array<Pixel>, rows: Range<usize>) -> u32 {
    let filtered = || -> Result<(), OutOfRange> {
        let top = rows.start.saturating_sub(RADIUS);
        let bottom = (rows.end + RADIUS).min(HEIGHT);
        let near = from.unlocked().range(top * WIDTH..bottom * WIDTH)?;
        for y in rows {
            let row: Vec<Pixel> = (0..WIDTH).map(|x| mean(&near, x, y - top)).collect();
            to.unlocked().write(y * WIDTH, &row)?;
        }
        Ok(())
    };
    filtered().expect("both images have this size");
    std::process::id()
}

/// The mean of the pixels around this one, as far as there are any.
fn mean(rows: &[Pixel], x: usize, y: usize) -> Pixel {
    let height = rows.len() / WIDTH;
    let (mut sum, mut count) = ([0_u32; 3], 0);
    for row in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(height) {
        let (left, right) = (x.saturating_sub(RADIUS), (x + RADIUS + 1).min(WIDTH));
        for pixel in &rows[row * WIDTH + left..row * WIDTH + right] {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += u32::from(*value);
            }
            count += 1;
        }
    }
    sum.map(|sum| (sum / count) as u8)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let path = path.unwrap_or_else(|| std::env::temp_dir().join("image_filter.png"));

    let drawn = Array::from_slice(&draw())?;
    let blurred = Array::<Pixel>::new(WIDTH * HEIGHT)?;
    let pool = ProcessPoolExecutor::builder().max_workers(4).build()?;
    let stripes = (0..HEIGHT).step_by(ROWS).map(|start| start..start + ROWS);
    let tasks = stripes.map(|rows| (drawn.clone(), blurred.clone(), rows));
    let mut shares = BTreeMap::new();
    for process in pool.map(blur, tasks) {
        *shares.entry(process?).or_insert(0) += ROWS;
    }
    for (process, rows) in &shares {
        println!("process {process} has filtered {rows} rows");
    }

    let mut halves = drawn.lock()?.to_vec();
    let blurred = blurred.lock()?;
    for y in 0..HEIGHT {
        let right = y * WIDTH + WIDTH / 2..(y + 1) * WIDTH;
        halves[right.clone()].copy_from_slice(&blurred.range(right)?);
    }
    write(&path, &halves)?;
    println!("{WIDTH} x {HEIGHT} pixels in {}", path.display());
    Ok(())
}

/// Rings in three colours, with hard edges.
fn draw() -> Vec<Pixel> {
    let centres = [(0.3, 0.35), (0.7, 0.4), (0.5, 0.75)];
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            pixels.push(centres.map(|(right, down)| {
                let across = x as f64 - right * WIDTH as f64;
                let along = y as f64 - down * HEIGHT as f64;
                let ring = (across.hypot(along) / 18.0) as u32;
                if ring.is_multiple_of(2) { 240 } else { 30 }
            }));
        }
    }
    pixels
}

fn write(path: &Path, pixels: &[Pixel]) -> Result<(), Box<dyn Error>> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels.as_flattened())?;
    writer.finish()?;
    Ok(())
}
