"""The language: programs, statements, handlers, and the two runtimes that give them meaning (interpreter
and recorder).
"""
