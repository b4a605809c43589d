"""Fit the pose of a bottle to a real depth frame: a mesh of 20,950 faces, holes, noise, and a table behind.

    python examples/03_bottle.py [FOLDER] [--data DIR]

DIR holds a frame of the M3T data (github.com/DLR-RM/3DObjectTracking), which is not a part of this repository: the mesh
schauma.obj, the depth and colour images of frame 200 with their cameras, and the start of the fit,
bottle_start_pose.txt. Where it is not there, the toy truck is fitted that comes with the package (`diffrt-aot sample`):
smaller, and its image rendered, but with holes, noise and a table as well. The same by command:
`diffrt-aot fit examples/bottle.toml --observed DIR/depth_camera_image_200.png`.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot import pictures
from diffrt_aot.image_io import load_color, load_observed
from diffrt_aot.mesh_file import load_mesh

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "m3t"
SAMPLE = Path(dr.__file__).parent / "sample"
NEEDED = (
    "schauma.obj",
    "bottle_start_pose.txt",
    "depth_camera_image_200.png",
    "depth_camera.yaml",
    "color_camera_image_200.png",
    "color_camera.yaml",
)

# Where the model lies right, half of the residuals are under 2 mm. Huber's loss holds those of the table and of
# the depth camera's blunders to the pull of 5 mm; it is convex, so a start 30 degrees off still finds the way.
LOSS = dr.Huber(0.005)
INLIER = 0.01  # [m]


def read_camera(path: Path, T_world_camera: np.ndarray | None = None) -> tuple[dr.PinholeCamera, np.ndarray]:
    """Return a camera of the data set, and its pose in the colour camera's frame."""
    text = path.read_text()
    width, height, fx, fy, cx, cy = (
        float(re.search(rf"\b{key}: *([\d.]+)", text)[1]) for key in ("width", "height", "f_u", "f_v", "pp_x", "pp_y")
    )
    numbers = re.search(r"camera2world_pose:.*?data: *\[(.*?)\]", text, re.DOTALL)[1]
    T_color_camera = dr.nearest_rigid(np.array(numbers.split(","), float).reshape(4, 4))
    return dr.PinholeCamera(int(width), int(height), fx, fy, cx, cy, T_world_camera), T_color_camera


def read_bottle(data: Path) -> tuple:
    """Return the scene at the start, the depth image, and what to draw outlines on: a picture and its camera."""
    camera, T_color_depth = read_camera(data / "depth_camera.yaml")
    observed = load_observed(data / "depth_camera_image_200.png", scale=0.001)  # millimetres; 0 becomes NaN
    T_start = dr.nearest_rigid(np.loadtxt(data / "bottle_start_pose.txt"))  # five decimals: not quite rigid
    # The world is the depth camera's frame; the colour camera looks from T_depth_color
    color_camera, _ = read_camera(data / "color_camera.yaml", np.linalg.inv(T_color_depth))
    scene = dr.Scene(camera, {"bottle": load_mesh(data / "schauma.obj", T_start)})
    return scene, observed, load_color(data / "color_camera_image_200.png"), color_camera


def read_truck() -> tuple:
    """Return the same of the sample."""
    scene = dr.load_scene_file(SAMPLE / "truck.toml").scene
    observed = load_observed(SAMPLE / "depth.png", scale=0.001)
    return scene, observed, observed, scene.camera


def main(folder: Path, start: dr.Scene, observed: np.ndarray, picture: np.ndarray, eye: dr.PinholeCamera) -> None:
    (name,) = start.shapes
    begin = time.perf_counter()
    renderer = dr.Renderer(start, free=[f"{name}.pose"], output="depth")
    result = dr.fit(renderer, observed, loss=LOSS)
    seconds = time.perf_counter() - begin
    T_start, T_fitted = (scene.shapes[name].T_world_mesh for scene in (start, result.scene))
    before, after = renderer.render(), renderer.render(result.theta)

    increment = np.linalg.inv(T_start) @ T_fitted
    turned = np.degrees(np.arccos(np.clip((np.trace(increment[:3, :3]) - 1) / 2, -1, 1)))
    residual = np.abs(after - observed)
    inliers = residual[residual < INLIER]
    print(f"{result.status.name}: {result.status}")
    print(f"pose T_camera_{name} =\n{np.array_str(T_fitted, precision=5, suppress_small=True)}")
    print(f"from the start: {turned:.2f} degrees, {1e3 * np.linalg.norm(increment[:3, 3]):.1f} mm")
    print(f"median |r| {1e3 * np.median(inliers):.2f} mm over {inliers.size} inliers (|r| < 10 mm)")
    print(f"{result.steps} steps in {1e3 * seconds:.0f} ms, the renderer's construction included")

    masks = {
        label: dr.Renderer(scene.replace(camera=eye), output="mask", boundary="none").render()
        for label, scene in (("start", start), ("fitted", result.scene))
    }
    figures = {
        f"{name}_residuals.png": pictures.compare_residuals(
            before - observed, after - observed, limit=0.02, quantity="rendered - observed depth [m]"
        ),
        f"{name}_outline.png": pictures.overlay_outline(picture, masks, title=f"the {name}, at the start and fitted"),
    }
    for file, figure in figures.items():
        pictures.save_figure(figure, folder / file)
        print(f"wrote {folder / file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    parser.add_argument("--data", type=Path, default=DATA, help="where the frame is (../shared/data/m3t)")
    arguments = parser.parse_args()
    absent = [file for file in NEEDED if not (arguments.data / file).is_file()]
    if absent:
        print(f"no bottle: {absent[0]} is not in {arguments.data} (--data DIR); fitting the sample's truck instead")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder, *(read_truck() if absent else read_bottle(arguments.data)))
