"""Episodes for people: tables, pages, pictures, the Rerun viewer."""
