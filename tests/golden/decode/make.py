"""Small pictures of every kind that twist-decode reads, and beside each NAME.EXT its pixels as Pillow gives them:
NAME.EXT.ppm is convert("RGB") of the opened file, NAME.EXT.upright.ppm of ImageOps.exif_transpose of it."""
import glob
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

here = os.path.dirname(os.path.abspath(__file__))
H, W = 17, 23


def picture(channels, top=255):
    """Waves, an edge and a fine grid: something for every part of a codec to get wrong."""
    y, x, c = np.mgrid[0:H, 0:W, 0:channels].astype(float)
    v = 0.5 + 0.3 * np.sin(x * (0.5 + 0.2 * c) + c) + 0.2 * np.cos(y * 0.9 - x * 0.3 * c)
    v = np.where(x + y > 26, 1 - v, v) + 0.06 * ((x * 7 + y * 13 + c * 5) % 4 - 1.5)
    return np.clip(np.round(v * top), 0, top).astype(np.uint16 if top > 255 else np.uint8)


def save(name, data):
    with open(os.path.join(here, name), "wb") as f:
        f.write(data)


def encoded(image, kind, **how):
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


# PNG of any colour type, depth and interlace: Pillow writes some of them only.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(pixels, colour, depth, interlaced=False, chunks=()):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def rows(a):
        out = b""
        for row in a.reshape(a.shape[0], -1):
            if depth == 16:
                out += b"\0" + row.astype(">u2").tobytes()
            elif depth == 8:
                out += b"\0" + row.astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in row)
                bits += "0" * (-len(bits) % 8)
                out += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
        return out

    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    data = b"".join(rows(p) for p in passes if p.size)
    head = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(data))
            + chunk(b"IEND", b""))


def make_png():
    palette = (np.arange(768) * 37 % 256).astype(np.uint8).tobytes()
    for depth in 1, 2, 4, 8, 16:
        save(f"grey{depth}.png", png(picture(1, 2**depth - 1), 0, depth))
    for depth in 8, 16:
        save(f"rgb{depth}.png", png(picture(3, 2**depth - 1), 2, depth))
        save(f"grey-alpha{depth}.png", png(picture(2, 2**depth - 1), 4, depth))
        save(f"rgb-alpha{depth}.png", png(picture(4, 2**depth - 1), 6, depth))
    for depth in 1, 2, 4, 8:
        save(f"palette{depth}.png", png(picture(1, 2**depth - 1), 3, depth, chunks=[(b"PLTE", palette[:3 * 2**depth])]))
    save("palette-alpha.png", png(picture(1), 3, 8, chunks=[(b"PLTE", palette), (b"tRNS", bytes(range(256)))]))
    save("grey-trns.png", png(picture(1), 0, 8, chunks=[(b"tRNS", b"\0\x80")]))
    save("rgb-trns.png", png(picture(3), 2, 8, chunks=[(b"tRNS", b"\0\x80\0\x80\0\x80")]))
    save("gamma.png", png(picture(3), 2, 8, chunks=[(b"gAMA", struct.pack(">I", 100000))]))
    save("interlaced.png", png(picture(3), 2, 8, True))
    save("interlaced-grey1.png", png(picture(1, 1), 0, 1, True))
    save("interlaced-grey16.png", png(picture(1, 65535), 0, 16, True))


def make_jpeg():
    rgb, grey, cmyk = Image.fromarray(picture(3)), Image.fromarray(picture(1)[..., 0]), Image.fromarray(picture(4), "CMYK")
    for name, sampling in ("444", 0), ("422", 1), ("420", 2):
        save(f"s{name}.jpg", encoded(rgb, "JPEG", quality=85, subsampling=sampling))
    save("progressive.jpg", encoded(rgb, "JPEG", quality=70, progressive=True))
    save("progressive-grey.jpg", encoded(grey, "JPEG", quality=70, progressive=True))
    save("optimised.jpg", encoded(rgb, "JPEG", quality=30, optimize=True))
    save("restart.jpg", encoded(rgb, "JPEG", quality=85, restart_marker_blocks=1))
    save("grey.jpg", encoded(grey, "JPEG", quality=85))
    save("rgb.jpg", encoded(rgb, "JPEG", quality=85, keep_rgb=True))
    adobe = encoded(cmyk, "JPEG", quality=85)
    save("cmyk.jpg", adobe)
    at = adobe.index(b"Adobe")
    save("ycck.jpg", adobe[:at + 11] + b"\2" + adobe[at + 12:])  # the transform: the same numbers, read as YCCK
    save("cmyk-no-adobe.jpg", adobe[:at - 4] + adobe[at + 12:])
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"orientation{orientation}.jpg", encoded(rgb, "JPEG", quality=85, exif=exif))
        if orientation == 6:
            save("orientation6.png", encoded(rgb, "PNG", exif=exif))


def main():
    for old in glob.glob(os.path.join(here, "*.*")):
        if not old.endswith(".py"):
            os.remove(old)
    make_png()
    make_jpeg()
    for path in sorted(glob.glob(os.path.join(here, "*.*"))):
        if path.endswith(".py"):
            continue
        with Image.open(path) as image:
            image.convert("RGB").save(path + ".ppm")
        if "orientation" in path:
            with Image.open(path) as image:
                ImageOps.exif_transpose(image).convert("RGB").save(path + ".upright.ppm")


if __name__ == "__main__":
    main()
