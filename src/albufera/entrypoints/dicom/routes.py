"""DICOMweb under `/dicomweb` (PS3.18): search, retrieve, store, always through the policy."""

from fastapi import APIRouter

from albufera.entrypoints.dicom import qido, stow, wado

router = APIRouter(prefix="/dicomweb")
for module in (qido, stow, wado):
    router.include_router(module.router)
