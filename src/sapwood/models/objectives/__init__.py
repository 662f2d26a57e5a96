"""Objectives: what one batch teaches, a function (model, batch) -> Terms each; and wrappers that add a penalty or a perturbation."""
