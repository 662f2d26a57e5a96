"""Weak labels: functions that vote (`functions`), what they said (`votes`), and one label from many votes (`label_model`)."""
