"What people have besides: orders of points, numbers, paths, names and pictures that none of the other tests has."

import json

import numpy as np
import pytest
from PIL import Image

from posegen.core import UserError
from posegen.people import render_people
from posegen.photos.folders import files_below
from posegen.photos.formats import COCO_17, read_json_people
from posegen.photos.images import read_image
from posegen.photos.inputs import read_given
from posegen.photos.keypoints import write_keypoint_csv, write_openpose_json
from posegen.photos.layouts import Rules, list_source
from posegen.photos.orders import order_of
from posegen.pose import KEYPOINTS

SIZE = 128
NECK = KEYPOINTS.index("neck")
ROWS = [KEYPOINTS.index(name) for name in COCO_17]


@pytest.fixture(scope="module")
def people():
    return list(render_people(2, views=12, size=SIZE, seed=3, progress=False))


def lay(folder, people, name="{person}/{view:02}.png"):
    "Photographs of people in a folder; their poses by name."
    poses = {}
    for person, one in enumerate(people):
        for view, (image, pose) in enumerate(zip(one.images, one.keypoints)):
            path = folder / name.format(person=person, view=view, next=view + 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
            poses[path.relative_to(folder).as_posix()] = pose.astype(np.float32)
    return poses


def listed(folder, keypoints=None):
    return list_source(folder, keypoints, Rules(require="any"))


def agree(found, wanted):
    "The places of all keypoints; of the neck, which COCO has not, to 2 pixels."
    assert ((found[:, 2] > 0) == (wanted[:, 2] > 0)).all()
    away = np.abs(found - wanted)[:, :2]
    assert away[ROWS].max() < 0.01 and away[NECK].max() < 2


def coco_neck(pose, rows):
    "COCO's 17 points, the neck behind them, and rows of zeros up to a number."
    return np.vstack([pose[ROWS], pose[NECK], np.zeros((rows - 18, 3))]).astype(float)


def openpose(points):
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": points.ravel().tolist()}]}


@pytest.mark.parametrize("rows", [18, 25, 135])
def test_points_in_cocos_order_are_known_by_their_places(people, rows, tmp_path):
    right = total = 0
    for person in people:
        for pose in person.keypoints.astype(np.float32):
            path = tmp_path / "a_keypoints.json"
            path.write_text(json.dumps(openpose(coco_neck(pose, rows))))
            found = read_json_people(path)[0].poses[0]
            if pose[NECK, 2]:
                total += 1
                right += np.array_equal(found[ROWS], pose[ROWS])
                agree(found, pose)
    assert right == total > 20


def test_points_in_openposes_order_stay(people):
    for person in people:
        for pose in person.keypoints.astype(float):
            assert list(order_of(pose)) == list(KEYPOINTS)
            middle = np.append(pose[[8, 11], :2].mean(0), pose[[8, 11], 2].min())
            body_25 = np.vstack([np.insert(pose, 8, middle, axis=0), np.zeros((6, 3))])
            assert order_of(body_25)[8] == "middle_hip"
            lost = pose.copy()
            lost[NECK] = 0  # nothing to measure
            assert list(order_of(lost)) == list(KEYPOINTS)


def test_poses_that_are_no_bodies_are_told(people, tmp_path):
    poses = lay(tmp_path, people)
    odd = {name: pose.copy() for name, pose in poses.items()}
    for pose in list(odd.values())[::2]:
        pose[:, 0] = 64 + (pose[:, 1] - 64) * 0.1  # on one line
    write_keypoint_csv(tmp_path / "keypoints.csv", odd)
    (told,) = [one for one in listed(tmp_path).warnings if "look like no body" in one]
    assert told.startswith("12 of 24 poses look like no body; that of 0/00.png")
    write_keypoint_csv(tmp_path / "keypoints.csv", poses)
    assert not [one for one in listed(tmp_path).warnings if "no body" in one]


@pytest.mark.parametrize(
    "kind", ["COCO results by number", "AlphaPose of a video", "frames in a folder of their own"]
)
def test_frames_counted_from_zero(people, kind, tmp_path):
    name = {"AlphaPose of a video": "{next}.jpg"}.get(kind, "frame_{next:04}.png")
    poses = lay(tmp_path, people[:1], name=name if "own" not in kind else "dance/" + name)
    spell = {"COCO results by number": int, "AlphaPose of a video": "{}.jpg".format}.get(
        kind, "frame_{:04}.png".format
    )
    entries = [
        {"image_id": spell(number), "category_id": 1, "keypoints": pose[ROWS].ravel().tolist(), "score": 1.0}
        for number, pose in enumerate(poses.values())
    ]
    (tmp_path / "results.json").write_text(json.dumps(entries))
    (told,) = [one for one in listed(tmp_path).warnings if "neighbour" in one]
    assert "count from 0 to 11, the images from 1 to 12" in told and list(poses)[-1] in told
    for entry, number in zip(entries, range(1, 13)):
        entry["image_id"] = spell(number)
    (tmp_path / "results.json").write_text(json.dumps(entries))
    right = listed(tmp_path)
    assert not [one for one in right.warnings if "neighbour" in one] and len(right.entries) == 12
    for entry in right.entries:
        assert np.array_equal(entry.keypoints[ROWS], poses[entry.name][ROWS])


@pytest.mark.parametrize("path", ["val2017/{}", "/home/anna/data/{}", "C:\\Users\\Anna\\photos\\{}", "./{}"])
def test_paths_of_another_machine(people, path, tmp_path):
    "The same names in each person's folder: only the folder tells who is meant."
    poses = lay(tmp_path, people)
    write = (lambda name: path.format(name.replace("/", "\\"))) if "\\" in path else path.format
    content = {
        "images": [
            {"id": number, "file_name": write(name), "width": SIZE, "height": SIZE}
            for number, name in enumerate(poses)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": (pose[ROWS] * [1, 1, 2]).ravel().tolist(),
            }
            for number, pose in enumerate(poses.values())
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": COCO_17}],
    }
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
    found = listed(tmp_path)
    assert len(found.entries) == 24
    for entry in found.entries:
        agree(entry.keypoints, poses[entry.name])


def test_an_ambiguous_path_is_refused(people, tmp_path):
    poses = lay(tmp_path, people)
    entries = [
        {"image_id": "other/00.png", "keypoints": poses["0/00.png"][ROWS].ravel().tolist(), "score": 1.0}
    ]
    (tmp_path / "results.json").write_text(json.dumps(entries))
    with pytest.raises(UserError, match='names the image "00.png", but several'):
        listed(tmp_path)


def test_a_file_named_after_the_whole_image(people, tmp_path):
    "OpenPifPaf writes 00.png.predictions.json."
    poses = lay(tmp_path / "photos", people)
    for name, pose in poses.items():
        path = tmp_path / "keys" / f"{name}.predictions.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps([{"keypoints": pose[ROWS].ravel().tolist(), "score": 0.9, "category_id": 1}])
        )
    found = listed(tmp_path / "photos", tmp_path / "keys")
    assert len(found.entries) == 24
    for entry in found.entries:
        agree(entry.keypoints, poses[entry.name])


def test_a_file_of_other_joints_says_so(people, tmp_path):
    "PoseTrack's own names, in a file whose name looks like that of one image."
    lay(tmp_path, people)
    names = ["nose", "head_bottom", "head_top", *COCO_17[3:]]
    content = {"images": [], "annotations": [], "categories": [{"keypoints": names}]}
    (tmp_path / "person_keypoints.json").write_text(json.dumps(content))
    with pytest.raises(
        UserError, match="calls its keypoints nose, head_bottom, head_top, left_ear, …, which are not"
    ):
        listed(tmp_path)


@pytest.mark.parametrize("tail", ["", " 0.91", " 0.91 3"])
def test_ultralytics_labels_without_visibilities(people, tail, tmp_path):
    poses = lay(tmp_path, people)
    for name, pose in poses.items():
        places = (pose[ROWS, :2] / SIZE).ravel()
        line = "0 0.5 0.5 0.3 0.9 " + " ".join(f"{number:.6f}" for number in places) + tail
        (tmp_path / name).with_suffix(".txt").write_text(line + "\n")
    found = listed(tmp_path)
    assert len(found.entries) == 24
    for entry in found.entries:
        agree(entry.keypoints, poses[entry.name])


def test_fractions_of_six_digits_lose_no_pixel(people, tmp_path):
    "5 / 128 is written as .039062, which would be cut to pixel 4."
    pose = people[0].keypoints[0].astype(float)
    pose[KEYPOINTS.index("nose"), :2] = 5, 7
    content = openpose(np.round(pose / [SIZE, SIZE, 1], 6)) | {"canvas_width": SIZE, "canvas_height": SIZE}
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_given(tmp_path / "a.json", size=(SIZE, SIZE)).pose
    assert (np.trunc(found[:, :2]) == np.trunc(pose[:, :2])).all()


@pytest.mark.parametrize("ending", [".json", ".supplemental-metadata.json"])
def test_what_google_keeps_beside_photos_is_no_keypoint_file(people, ending, tmp_path):
    poses = lay(tmp_path, people[:1], name="IMG_{view:04}.png")
    for name in poses:
        about = {"title": name, "people": [{"name": "Anna"}], "photoTakenTime": {"timestamp": "1"}}
        (tmp_path / (name + ending)).write_text(json.dumps(about))
    with pytest.raises(
        UserError, match="None of the 12 other files there is a keypoint file that is known: IMG_0000.png"
    ):
        listed(tmp_path)
    for name, pose in poses.items():
        write_openpose_json((tmp_path / name).with_suffix(".json"), pose)
    found = listed(tmp_path)
    assert len(found.entries) == 12
    for entry in found.entries:
        assert np.array_equal(entry.keypoints, poses[entry.name] * (poses[entry.name][:, 2:] > 0))


def test_photos_that_lie_in_icloud_are_told(people, tmp_path):
    lay(tmp_path, people[:1], name="IMG_{view:04}.png")
    (tmp_path / ".IMG_0012.jpg.icloud").write_bytes(b"bplist00")
    assert (".IMG_0012.jpg.icloud", "a photo that lies in iCloud: download it first") in files_below(
        tmp_path
    ).rejected


@pytest.mark.parametrize(
    "name, told",
    [
        ("{person}/{view}.png", None),
        ("anna{person}/red/{view}.png", None),
        ("000{person}/{view}.png", None),
        ("202{person}/202{person}-05/IMG_{view}.png", "The folders 2020, 2021 are taken for people"),
        ("DCIM/10{person}APPLE/IMG_{view}.png", "The folders 100APPLE, 101APPLE are taken for people"),
        (
            "Photos from 202{person}/{view}.png",
            "The folders Photos from 2020, Photos from 2021 are taken for people",
        ),
        ("data/images/{person}{view}.png", None),
    ],
)
def test_folders_that_are_nobody(people, name, told, tmp_path):
    write_keypoint_csv(tmp_path / "keypoints.csv", lay(tmp_path, people, name))
    found = [one for one in listed(tmp_path).warnings if "no person is called so" in one]
    assert [one.startswith(told or "") for one in found] == ([True] if told else [])


GREY = np.tile(np.arange(0, 256, 8, dtype=np.int64), (32, 1))


@pytest.mark.parametrize(
    "bits, kind", [(16, np.uint16), (12, np.uint16), (10, np.uint16), (8, np.uint16), (8, np.int32)]
)
def test_grey_of_a_camera_is_not_black(bits, kind, tmp_path):
    "All shades from 0 to 248 in as many bits as the camera has; the brightest tells how many."
    path = tmp_path / ("a.png" if kind is np.uint16 else "a.tif")
    Image.fromarray((GREY << bits - 8).astype(kind)).save(path)
    assert np.array_equal(np.asarray(read_image(path))[..., 1], GREY)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "is empty"),
        (bytes(4096), "holds nothing but zeros"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "run git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html>429", "is a web page"),
        (b"<HTML><title>Sign in", "is a web page"),
        (b"bplist00\xd1", "is what iCloud leaves"),
    ],
)
def test_what_lies_under_the_name_of_a_picture(content, told, tmp_path):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_image(tmp_path / "a.jpg")
