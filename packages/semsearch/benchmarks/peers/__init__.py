"""What is compared: each contender is made of its data, and answers with numbers of documents."""
