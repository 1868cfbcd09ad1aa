"""BOREx where users of other libraries are: one file a library, which imports it.

`captum`: an `Attribution`; `quantus`: an `explain_func`; `xaitk`: a `GenerateImageClassifierBlackboxSaliency`; `shap`:
a `shap.Explanation`. The other way round, what those libraries return is accepted as `initial=` as it is.
"""
