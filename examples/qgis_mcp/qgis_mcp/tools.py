"""The tools: what MCP clients can do in QGIS.

Each is an `async def` method and runs on the GUI thread, between two events of QGIS. So it may touch layers and
widgets, and must not block: what takes long is left to QGIS's own threads and awaited, or gives way by
`await asyncio.sleep(0)`.

Clients may not reach files without the user's knowledge. What does, or may, asks the user: opening a layer from a file,
and each run of a processing algorithm, which can read and write anything. The other tools take nothing that leads to a
file. Features come as well-known text. Conditions are a field, an operator and a value, for an expression of QGIS's can
read files, too.
"""

import asyncio
import contextlib
import html
import math
import re
from typing import Annotated, Literal

from qgis.core import (
    NULL,
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsExpression,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsGeometry,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProcessingAlgorithm,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsSingleSymbolRenderer,
    QgsSymbol,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QBuffer, QIODevice, QSize, Qt, QVariant
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QMessageBox

from ._vendor import asyncslot
from .server import Picture, ToolError, tool

LayerId = Annotated[str, "the layer's id, from list_layers"]

MAX_FEATURES = 1000
AT_A_TIME = 200  # features from one moment in which QGIS may do something else to the next
MAX_PIXELS = 2000


async def open_dialog(dialog):
    """Open a dialog, and return the user's answer; the dialog goes when this is left, in whatever way.

    It does not stop anything: QGIS and all other calls go on while it is open.
    """
    try:
        return await asyncslot.asyncDialog(dialog)
    finally:
        dialog.deleteLater()


class Tools:
    """The tools of one plug-in.

    Args:
        lease: what `asyncslot.attach()` returned.
        iface: QGIS.
        is_asking: called without arguments; whether the user is asked before files may be touched.
    """

    def __init__(self, lease, iface, is_asking):
        self._lease = lease
        self._iface = iface
        self._is_asking = is_asking
        self._one_question = None

    # -- layers ------------------------------------------------------------------

    @tool("List layers", reads_only=True)
    async def list_layers(self, call):
        """List the layers of the project, from top to bottom."""
        nodes = QgsProject.instance().layerTreeRoot().findLayers()
        return {"layers": [_describe(node.layer()) for node in nodes if node.layer() is not None]}

    @tool("Add a layer")
    async def add_layer(
        self,
        call,
        name: Annotated[str, "what the user reads"],
        features: Annotated[list, 'objects such as {"wkt": "POINT(7.1 50.7)", "attributes": {"city": "Bonn"}}'],
        crs: Annotated[str, "the coordinates' reference system, such as EPSG:4326"] = "EPSG:4326",
    ):
        """Add a layer with these features, all of one geometry type. It is kept in memory only."""
        made = [_make_feature(number, feature) for number, feature in enumerate(features)]
        if not made:
            raise ToolError("A layer needs at least one feature, for its geometry type.")
        # As a name of a file, or a definition, it would be more than we want to take.
        if not re.fullmatch(r"[A-Za-z]{1,10}:\d{1,8}", crs) or not QgsCoordinateReferenceSystem(crs).isValid():
            raise ToolError(f"{crs!r} is no known reference system; they look like EPSG:4326")
        kind = QgsWkbTypes.displayString(made[0][0].wkbType())
        layer = QgsVectorLayer(f"{kind}?crs={crs}", name, "memory")
        provider = layer.dataProvider()
        provider.addAttributes(_fields_of([attributes for _, attributes in made]))
        layer.updateFields()
        for start in range(0, len(made), AT_A_TIME):
            rows = [_fill(QgsFeature(layer.fields()), *each) for each in made[start : start + AT_A_TIME]]
            if not provider.addFeatures(rows)[0]:
                raise ToolError(f"Not all features fit into a layer of {kind}: {'; '.join(provider.errors())}")
            await asyncio.sleep(0)
        layer.updateExtents()
        QgsProject.instance().addMapLayer(layer)
        return _describe(layer)

    @tool("Open a layer")
    async def open_layer(
        self,
        call,
        source: Annotated[str, "the path of a file, as QGIS takes it"],
        name: Annotated[str, "what the user reads"],
        kind: Annotated[Literal["vector", "raster"], "what it is"],
    ):
        """Open a file as a layer. The user is asked first."""
        await self._ask(call, f"open the {kind} layer\n\n{source!r}")
        layer = QgsVectorLayer(source, name, "ogr") if kind == "vector" else QgsRasterLayer(source, name, "gdal")
        if not layer.isValid():
            raise ToolError(f"QGIS cannot open it: {layer.error().summary() or 'there is no such layer'}")
        QgsProject.instance().addMapLayer(layer)
        return _describe(layer)

    @tool("Style a layer")
    async def style_layer(
        self,
        call,
        layer: LayerId,
        color: Annotated[str, "a name or #rrggbb; empty: as it is. Vector layers only"] = "",
        opacity: Annotated[float, "from 0 to 1"] = 1.0,
    ):
        """Give a layer one colour and an opacity."""
        found = _find(layer)
        if not 0 <= opacity <= 1:
            raise ToolError("the opacity is a number from 0 to 1")
        if color:
            _need_features(found)
            if not QColor.isValidColor(color):
                raise ToolError(f"{color!r} is no colour; they look like red or #ff8000")
            symbol = QgsSymbol.defaultSymbol(found.geometryType())
            symbol.setColor(QColor(color))
            found.setRenderer(QgsSingleSymbolRenderer(symbol))
        found.setOpacity(opacity)
        found.triggerRepaint()
        self._iface.layerTreeView().refreshLayerSymbology(found.id())
        return _describe(found)

    @tool("Query a layer", reads_only=True)
    async def query_layer(
        self,
        call,
        layer: LayerId,
        field: Annotated[str, "the field of the condition; empty: all features"] = "",
        operator: Annotated[Literal["=", "<>", "<", "<=", ">", ">=", "contains"], "the condition's operator"] = "=",
        value: Annotated[str, "the condition's value; numbers are compared as numbers"] = "",
        with_geometry: Annotated[bool, "whether to return geometries, too"] = False,
        limit: Annotated[int, f"how many features to return; {MAX_FEATURES} at most"] = 100,
    ):
        """Return features of a vector layer that meet a condition, and how many there are."""
        found = _need_features(_find(layer))
        request = QgsFeatureRequest()
        if field:
            request.setFilterExpression(_condition(found, field, operator, value))
        if not with_geometry:
            request.setFlags(_flag("NoGeometry"))
        names = found.fields().names()
        features, count = [], 0
        # The iterator has what it needs of the layer: the user may remove that while we give way.
        for feature in found.getFeatures(request):
            count += 1
            if len(features) < min(limit, MAX_FEATURES):
                row = {"id": feature.id(), "attributes": dict(zip(names, map(_plain, feature.attributes())))}
                if with_geometry:
                    row["wkt"] = feature.geometry().asWkt(6)
                features.append(row)
            if count % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return {"count": count, "features": features}

    # -- the map -----------------------------------------------------------------

    @tool("Take a picture of the map", reads_only=True)
    async def picture(
        self,
        call,
        width: Annotated[int, f"pixels, {MAX_PIXELS} at most"] = 800,
        height: Annotated[int, f"pixels, {MAX_PIXELS} at most"] = 600,
    ):
        """Return a picture of the map, with the layers and the part of it that the user sees."""
        if not (1 <= width <= MAX_PIXELS and 1 <= height <= MAX_PIXELS):
            raise ToolError(f"width and height are from 1 to {MAX_PIXELS}")
        settings = QgsMapSettings(self._iface.mapCanvas().mapSettings())
        settings.setOutputSize(QSize(width, height))
        job = QgsMapRendererParallelJob(settings)
        try:
            job.start()  # in threads of QGIS's
            await asyncslot.asyncSignal(job.finished)
        finally:
            job.cancel()  # nothing, if it has finished
        return Picture(await self._lease.to_thread(_as_png, job.renderedImage()))

    # -- processing --------------------------------------------------------------

    @tool("Find algorithms", reads_only=True)
    async def find_algorithms(self, call, words: Annotated[str, "words of the name, such as buffer"]):
        """Return the ids of processing algorithms, 20 at most, and the parameters that each takes."""
        wanted = words.lower().split()
        found = []
        for number, each in enumerate(QgsApplication.processingRegistry().algorithms()):
            if all(word in f"{each.id()} {each.displayName()}".lower() for word in wanted):
                parameters = {one.name(): f"{one.description()} ({one.type()})" for one in each.parameterDefinitions()}
                found.append({"id": each.id(), "name": each.displayName(), "parameters": parameters})
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return {"count": len(found), "algorithms": found[:20]}

    @tool("Run an algorithm")
    async def run_algorithm(
        self,
        call,
        algorithm: Annotated[str, "its id, from find_algorithms"],
        parameters: Annotated[dict, "by name; layers by their ids. Results that are not named here are temporary"],
    ):
        """Run a processing algorithm, and add the layers that it makes to the project. The user is asked first."""
        found = QgsApplication.processingRegistry().createAlgorithmById(algorithm)
        if found is None:
            raise ToolError(f"There is no algorithm {algorithm!r}; find_algorithms knows which there are.")
        if found.flags() & QgsProcessingAlgorithm.FlagNoThreading:
            raise ToolError(f"{found.displayName()} runs in the GUI thread only, and QGIS would stand still meanwhile.")
        for each in found.destinationParameterDefinitions():
            parameters.setdefault(each.name(), "TEMPORARY_OUTPUT")
        context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
        context.setProject(QgsProject.instance())
        # As literals, in which a client cannot hide lines of its own.
        shown = "\n".join(f"{name!r}: {value!r}"[:200] for name, value in parameters.items())[:2000]
        await self._ask(call, f"run {found.displayName()} ({found.id()}). It can read and write files.\n\n{shown}")
        is_right, problem = found.checkParameterValues(
            parameters, context
        )  # which opens the files that are named there
        if not is_right:
            raise ToolError(f"{found.displayName()} cannot be run with these parameters: {problem}")
        async with self._work(call, found.displayName()) as show:
            feedback.progressChanged.connect(lambda percent: show(percent / 100))
            job = QgsProcessingAlgRunnerTask(found, parameters, context, feedback)
            # QGIS's thread uses these until the job has ended, which it does a while after it was cancelled. The
            # connection keeps them, and goes with the job.
            job.executed.connect(lambda *_, kept=(context, feedback, found): None)
            QgsApplication.taskManager().addTask(job)
            try:
                is_done, results = await asyncslot.asyncSignal(job.executed)
            finally:
                feedback.cancel()  # nothing, if it is done
        if not is_done:
            raise ToolError(f"{found.displayName()} did not succeed: {feedback.textLog()[-1000:]}")
        return {"results": {name: self._take_result(context, value) for name, value in results.items()}}

    def _take_result(self, context, value):
        """Add a result that is a layer to the project; return what a client is told of a result."""
        layer = context.takeResultLayer(value) if isinstance(value, str) else None
        if layer is None:
            return _plain(value)
        QgsProject.instance().addMapLayer(layer)
        return _describe(layer)

    # -- both sides --------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _work(self, call, title):
        """Show to both sides how far a tool is: `show(fraction)`; what either cancels, the other one hears of.

        The user cancels with the button beside the bar; the server then tells the client.
        """
        async with self._lease.progress(title) as progress:

            def show(fraction):
                progress.update(fraction)
                call.report_progress(fraction, 1.0, title)

            try:
                yield show
            except asyncio.CancelledError:
                if call.is_cancelled_by_client:
                    self._say(f"{title}: cancelled by {call.client}")
                raise

    async def _ask(self, call, what):
        """Return if the user allows it. The box goes when the client cancels or hangs up, and on unload."""
        if not self._is_asking():
            return
        if self._one_question is None:
            # Not in __init__(): before Python 3.10 a lock belongs to the loop that runs when it is made.
            self._one_question = asyncio.Lock()
        async with self._one_question:
            buttons = QMessageBox.StandardButton
            box = QMessageBox(self._iface.mainWindow())
            box.setIcon(QMessageBox.Icon.Question)
            box.setWindowTitle("QGIS MCP")
            box.setTextFormat(Qt.TextFormat.PlainText)
            box.setText(f"{call.client} wants to {what}\n\nDo you allow it?")
            box.setStandardButtons(buttons.Yes | buttons.No)
            box.setDefaultButton(buttons.No)
            if await open_dialog(box) != buttons.Yes:
                raise ToolError("The user does not allow it.")

    def _say(self, text):
        self._iface.messageBar().pushMessage("QGIS MCP", html.escape(text), Qgis.MessageLevel.Info, 10)


# -- layers and features -----------------------------------------------------------


def _find(layer_id):
    layer = QgsProject.instance().mapLayer(layer_id)
    if layer is None:
        raise ToolError(f"There is no layer with the id {layer_id!r}; list_layers knows which there are.")
    return layer


def _need_features(layer):
    if not isinstance(layer, QgsVectorLayer):
        raise ToolError(f"{layer.name()} is no vector layer.")
    return layer


def _describe(layer):
    """Return what a client is told of a layer."""
    extent = layer.extent()
    corners = [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
    what = {
        "id": layer.id(),
        "name": layer.name(),
        "kind": "raster" if isinstance(layer, QgsRasterLayer) else "other",
        "crs": layer.crs().authid(),
        "extent": None if extent.isEmpty() else [_plain(corner) for corner in corners],
        "opacity": layer.opacity(),
    }
    if isinstance(layer, QgsVectorLayer):
        what.update(
            kind="vector",
            geometry=QgsWkbTypes.displayString(layer.wkbType()),
            features=layer.featureCount(),
            fields={field.name(): field.typeName() for field in layer.fields()},
        )
    return what


def _make_feature(number, feature):
    """Return geometry and attributes of a feature as clients describe it."""
    wkt, attributes = (feature.get("wkt"), feature.get("attributes", {})) if isinstance(feature, dict) else (None, {})
    geometry = QgsGeometry.fromWkt(wkt) if isinstance(wkt, str) else QgsGeometry()
    if geometry.isEmpty() or not isinstance(attributes, dict):
        raise ToolError(f'feature {number} is not of the form {{"wkt": "POINT(1 2)", "attributes": {{"name": "x"}}}}')
    return geometry, attributes


def _fields_of(rows):
    """Return the fields that all these attributes need: whole numbers, numbers, or texts."""
    kinds = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(type(value))
    fields = []
    for name, kind in kinds.items():
        numbers = kind - {type(None)}
        if numbers == {int}:
            fields.append(QgsField(name, QVariant.LongLong))
        elif numbers and numbers <= {int, float}:
            fields.append(QgsField(name, QVariant.Double))
        else:
            fields.append(QgsField(name, QVariant.String))
    return fields


def _fill(feature, geometry, attributes):
    feature.setGeometry(geometry)
    for name, value in attributes.items():
        is_text = feature.fields().field(name).type() == QVariant.String
        feature[name] = str(value) if is_text and value is not None else value
    return feature


def _condition(layer, field, operator, value):
    """Return an expression, of which a client can choose nothing but what is quoted here, and the operator."""
    if field not in layer.fields().names():
        raise ToolError(f"There is no field {field!r}. Fields: {', '.join(layer.fields().names())}")
    column = QgsExpression.quotedColumnRef(field)
    if operator == "contains":
        return f"strpos(lower({column}), lower({QgsExpression.quotedString(value)})) > 0"
    return f"{column} {operator} {QgsExpression.quotedString(value)}"


def _flag(name):
    """Return a flag of QgsFeatureRequest's, which has moved in QGIS 3.36."""
    return getattr(getattr(Qgis, "FeatureRequestFlag", QgsFeatureRequest), name)


def _plain(value):
    """Return a value of QGIS's as one of JSON's."""
    if value is None or value == NULL:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "toString"):  # a date, a time
        return value.toString(Qt.DateFormat.ISODate)
    return str(value)


def _as_png(image):
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(buffer.data())
