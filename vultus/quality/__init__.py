"""How useful is this picture for recognition?"""
