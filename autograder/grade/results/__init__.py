"""What a grading run leaves: the database, the mark files, feedback pages, the class report, marking pages."""
