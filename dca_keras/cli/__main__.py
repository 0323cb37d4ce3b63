from dca_keras.cli import main

main()
