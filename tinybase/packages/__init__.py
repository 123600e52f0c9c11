"""From an address to a verified folder of importable extensions.

One file for each step: ``addresses`` reads what the operator typed, ``fetch`` brings the
source, ``manifest`` and ``build`` turn a flat repository into a wheel, ``pip`` resolves
and installs, ``generations`` builds aside and switches, ``verify`` imports in a process of
its own, ``lock`` records. ``extensions`` puts them together.

Importing this package is cheap: the build backend is used where there is no Flask.
"""
