//! How a kernel moves over an image, forward and back.
//!
//! Both ways are the same thing to the loops: some taps of the kernel, over an image with a margin of
//! zeros, give outputs on a grid. Forward there is one grid. Back, with stride `s`, the pixels of the
//! input fall into `s` classes per axis by which taps have seen them; each class is a grid with its own
//! few taps, and no product with a zero is ever made.

/// How a kernel moves over an image; "same" padding. A series is an image of height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    /// Kernel extents, odd.
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) stride: usize,
    /// Distance of neighbouring taps; 1 unless the stride is 1.
    pub(crate) dilation: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Geometry {
    /// Taps of the kernel.
    pub(crate) fn taps(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// Floats of one image.
    pub(crate) fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Pixels of one output.
    pub(crate) fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Whether each output pixel is made of one input pixel, in the same order.
    pub(crate) fn are_pixels(&self) -> bool {
        self.taps() == 1 && self.stride == 1
    }

    fn axes(&self) -> [Axis; 2] {
        let axis = |extent, out_extent, kernel| Axis {
            extent,
            out_extent,
            kernel,
            stride: self.stride,
            dilation: self.dilation,
        };
        [
            axis(self.height, self.out_height, self.kernel_height),
            axis(self.width, self.out_width, self.kernel_width),
        ]
    }

    /// Rows and columns of the way forward.
    pub(super) fn forward(&self) -> [Line; 2] {
        self.axes().map(|axis| axis.forward())
    }

    /// Rows and columns of each class of the way back.
    pub(super) fn backward(&self) -> impl Iterator<Item = [Line; 2]> + use<> {
        let [rows, columns] = self.axes();
        rows.backward()
            .flat_map(move |row| columns.backward().map(move |column| [row, column]))
    }
}

/// One dimension of a geometry.
#[derive(Clone, Copy, Debug)]
struct Axis {
    extent: usize,
    out_extent: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

/// One dimension of a way from an image to a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where the first output's first tap looks; below 0 in the margin.
    pub(super) start: isize,
    /// From one output to the next in the image.
    pub(super) stride: usize,
    /// From one tap to the next in the image.
    pub(super) dilation: usize,
    /// Taps of this way.
    pub(super) taps: usize,
    /// The kernel's tap that belongs to the first, and how far the next one is, backwards if negative.
    pub(super) first_tap: usize,
    pub(super) tap_step: isize,
    /// The first output, the step to the next, and how many there are.
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) count: usize,
}

impl Axis {
    fn padding(&self) -> usize {
        self.dilation * (self.kernel - 1) / 2
    }

    fn forward(&self) -> Line {
        Line {
            start: -signed(self.padding()),
            stride: self.stride,
            dilation: self.dilation,
            taps: self.kernel,
            first_tap: 0,
            tap_step: 1,
            first: 0,
            step: 1,
            count: self.out_extent,
        }
    }

    /// Input `s·i + class` was seen by output `o` through tap `k` if `s·o + d·k = s·i + class + padding`.
    fn backward(self) -> impl Iterator<Item = Line> + use<> {
        (0..self.stride.min(self.extent)).map(move |class| {
            let seen = class + self.padding();
            let (first_tap, base) = (seen % self.stride, seen / self.stride);
            let taps = self.kernel.saturating_sub(first_tap).div_ceil(self.stride);
            let reach = self.dilation * taps.saturating_sub(1);
            Line {
                start: signed(base) - signed(reach),
                stride: 1,
                dilation: self.dilation,
                taps,
                first_tap: first_tap + self.stride * taps.saturating_sub(1),
                tap_step: -signed(self.stride),
                first: class,
                step: self.stride,
                count: (self.extent - class).div_ceil(self.stride),
            }
        })
    }
}

impl Line {
    /// The kernel's tap at one place of the way.
    pub(super) fn kernel_tap(&self, index: usize) -> usize {
        self.first_tap
            .checked_add_signed(self.tap_step * signed(index))
            .expect("ways only use taps that exist")
    }

    /// Zeros needed before and behind an image of this extent.
    pub(super) fn margin(&self, extent: usize) -> (usize, usize) {
        let last = self.start
            + signed(self.stride * self.count.saturating_sub(1))
            + signed(self.dilation * self.taps.saturating_sub(1));
        let beyond = |distance: isize| usize::try_from(distance).unwrap_or(0);
        (beyond(-self.start), beyond(last + 1 - signed(extent)))
    }
}

fn signed(extent: usize) -> isize {
    isize::try_from(extent).expect("extents are far below isize::MAX")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn geometry(
        (height, width): (usize, usize),
        channels: usize,
        (kernel_height, kernel_width): (usize, usize),
        stride: usize,
        dilation: usize,
    ) -> Geometry {
        let out = |extent: usize| (extent - 1) / stride + 1;
        Geometry {
            height,
            width,
            channels,
            kernel_height,
            kernel_width,
            stride,
            dilation,
            out_height: out(height),
            out_width: out(width),
        }
    }

    /// Extents, kernels, strides and dilations in every combination that is legal.
    pub(crate) fn every_geometry(channels: usize) -> Vec<Geometry> {
        let mut all = Vec::new();
        for extent in [(1, 1), (1, 9), (2, 3), (5, 4), (7, 17)] {
            for kernel in [1, 3, 5, 11] {
                for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 4)] {
                    let height = if extent.0 == 1 { 1 } else { kernel };
                    all.push(geometry(
                        extent,
                        channels,
                        (height, kernel),
                        stride,
                        dilation,
                    ));
                }
            }
        }
        all
    }

    #[test]
    fn the_ways_back_have_every_connection_of_the_way_forward_once() {
        for geometry in every_geometry(1) {
            for axis in geometry.axes() {
                let mut forward = Vec::new();
                let mut back = Vec::new();
                let inside = |at: isize, extent| (0..signed(extent)).contains(&at);
                let line = axis.forward();
                for output in 0..line.count {
                    for tap in 0..line.taps {
                        let input = line.start + signed(output * line.stride + tap * line.dilation);
                        if inside(input, axis.extent) {
                            forward.push((input, signed(output), line.kernel_tap(tap)));
                        }
                    }
                }
                for line in axis.backward() {
                    for index in 0..line.count {
                        for tap in 0..line.taps {
                            let output = line.start + signed(index + tap * line.dilation);
                            let input = signed(line.first + line.step * index);
                            if inside(output, axis.out_extent) {
                                back.push((input, output, line.kernel_tap(tap)));
                            }
                        }
                    }
                }
                forward.sort_unstable();
                back.sort_unstable();
                assert_eq!(forward, back, "{axis:?}");
            }
        }
    }
}
