def read_images(path):
    """Pixels of all images at a path, and the number of each; what cannot be read is passed over."""
    if path.suffix in (".npz", ".npy"):
        pixels = numpy.load(path)
        if not isinstance(pixels, numpy.ndarray):
            pixels = pixels[next(name for name in ("X", "x", "data", "images", "inputs") if name in pixels)]
        return pixels, list(range(1, len(pixels) + 1))
    if "images-idx3-ubyte" in path.name:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        count, height, width = numpy.frombuffer(raw, ">u4", 3, 4)
        pixels = numpy.frombuffer(raw, numpy.uint8, offset=16).reshape(count, height, width)
        return pixels, list(range(1, len(pixels) + 1))
    return read_files(path)


def read_files(path):
    """One image, or those of a folder at any depth, in the order of their paths."""
    from PIL import Image

    pixels, numbers = [], []
    files = [path]
    if path.is_dir():
        files = sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())
    endings = {ending for ending, kind in Image.registered_extensions().items()}
    files = [file for file in files if file.suffix.lower() in endings or file == path]
    for number, file in enumerate(files, 1):
        try:
            with Image.open(file) as image:
                pixels.append(pixels_of(image))
                numbers.append(number)
        except OSError as error:
            print(f"row {number} is passed over: `{file}`: {error}", file=sys.stderr)
    return numpy.array(pixels, numpy.uint8), numbers


def pixels_of(image):
    """Height x width x channels: upright, without transparency, of the size that was trained on."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if CHANNELS == 1 and image.mode not in ("L", "1", "LA", "I;16", "I"):
        # As television weighs colours, in whole numbers.
        red, green, blue = numpy.moveaxis(numpy.asarray(image.convert("RGB"), numpy.uint32), -1, 0)
        image = Image.fromarray(((2126 * red + 7152 * green + 722 * blue) // 10000).astype(numpy.uint8))
    image = image.convert("L" if CHANNELS == 1 else "RGB")
    if image.size != (WIDTH, HEIGHT):
        # The same filter as lehr's; it may round a value the other way.
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    return numpy.asarray(image).reshape(HEIGHT, WIDTH, CHANNELS)


def prepared(source):
    """What the network takes, and the number of each image: of a path, or of pixels from 0 to 255."""
    if isinstance(source, (str, Path)):
        pixels, numbers = read_images(Path(source))
    else:
        pixels, numbers = numpy.asarray(source), list(range(1, len(source) + 1))
    if pixels.shape[1:3] != (HEIGHT, WIDTH):
        raise ValueError(f"the images are {pixels.shape[1:]}, those of the model {(HEIGHT, WIDTH, CHANNELS)}")
    pixels = pixels.reshape(-1, HEIGHT, WIDTH, CHANNELS).astype(numpy.float32)
    scaled = (pixels - PIXEL_SHIFT) / PIXEL_SCALE
    return torch.from_numpy(scaled).movedim(-1, 1), numbers
