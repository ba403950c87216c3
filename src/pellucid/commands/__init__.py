"""The commands: from a table in a file to a model that is trained, judged, explained and kept.

options    what an option is, and how those given become settings
catalog    every command with its options and examples
folder     the run folder: what stands in it, and how it is written
building   the rows and the model of a run      judging   how good predictions are, beside a guess
train, predict, evaluate, explain, check, bench, doctor, others   what each command does
"""
