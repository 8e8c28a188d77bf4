"""The line's steps: functions from frames to frames, without IO, clock or state. They never import each other."""
